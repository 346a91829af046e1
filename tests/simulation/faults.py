"""What goes wrong: each fault begins, ends by itself, and leaves the world whole."""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.rolls import Operator
from tests.simulation.shard import Server, Shard
from tests.simulation.world import PROCESS_NAMES, World

LONG_OUTAGE_SECONDS = 20.0
_NO_REPLICAS = b"NOREPLICAS Not enough good replicas to write."
_CLUSTER_SECONDS = (1.0, 2.0, 8.0)
# How long a primary takes writes without its replicas (min-replicas-max-lag); less than senders keep what they sent.
_MAX_LAG_SECONDS = 1.5


class Faults:
    """Causes trouble.

    Attributes:
        until: when the last fault ends.
    """

    def __init__(self, world: World, operator: Operator) -> None:
        self.world = world
        self._operator = operator
        self._random = world.random
        self._clock = world.clock
        self._network = world.network
        self._counts = world.record.counts
        self._busy: set[str] = set()
        self.until = 0.0
        self.kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "connections cut": (10, self.cut_connections),
            "all connections of a server cut": (5, self.cut_all),
            "partition": (10, self.partition),
            "long partition": (2, self.long_partition),
            "primary killed": (8, self.kill_primary),
            "old primary isolated": (8, self.isolate),
            "primary without its replicas": (4, self.cut_off_from_replicas),
            "switchover": (3, self.switch_over),
            "failover forth and back": (4, self.forth_and_back),
            "demoted by hand": (3, self.demote_by_hand),
            "stale replica promoted": (5, self.promote_stale),
            "restart with data": (5, self.restart),
            "empty restart": (3, self.restart_empty),
            "shard emptied": (3, self.empty),
            "server hangs": (5, self.hang),
            "server hangs and is replaced": (4, self.hang_and_replace),
            "process crash": (7, self.crash_process),
            "worker leaves with its connections": (3, self.leave_with_connections),
            "writes refused": (4, self.refuse_writes),
            "pushes lost": (4, self.lose_pushes),
            "slow network": (4, self.slow_down),
            "roll": (10, self._operator.change),
            "overlapping rolls": (6, self.roll_twice),
        }

    def plan(self, moments: list[float], only: frozenset[str] = frozenset()) -> None:
        """Plan a few faults about each moment, so that they meet one another; ``only`` some kinds, or all."""
        names = [name for name in self.kinds if name in only or not only]
        weights = [self.kinds[name][0] for name in names]
        rolls = [name for name in ("roll", "overlapping rolls") if name in names]
        for moment in moments:
            spread = self._random.choice(_CLUSTER_SECONDS)
            chosen = self._random.choices(names, weights, k=self._random.choice((1, 1, 2, 2, 3)))
            if rolls and self._random.random() < 0.4:
                chosen.append(self._random.choice(rolls))
            for name in chosen:
                self._clock.at(moment + self._random.random() * spread, self._begin, name)

    def _begin(self, name: str) -> None:
        self._counts[f"fault: {name}"] += 1
        self._clock.note("world", "FAULT", name)
        self.kinds[name][1]()

    def later(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        """Do something that belongs to a fault."""
        self.until = max(self.until, self._clock.now + seconds)
        self._clock.after(seconds, act, *arguments)

    def _uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def idle_shard(self) -> Shard | None:
        """Choose a shard that nothing else is wrong with, and keep it from others."""
        idle = [one for one in self.world.shards.values() if one.name not in self._busy and not one.deleted]
        in_use = {one.name for each in (self.world.hosts, *self.world.hosts.earlier) for one in each.shards}
        idle = [one for one in idle if one.name in in_use]
        if not idle:
            self._counts["faults that found nothing to break"] += 1
            return None
        chosen = self._random.choice(idle)
        chosen.choose_standby()
        self._busy.add(chosen.name)
        return chosen

    def free(self, shard: Shard) -> None:
        """Let other faults have a shard."""
        shard.replace()
        self._busy.discard(shard.name)

    # Connections

    def cut_connections(self) -> None:
        if self.world.processes:
            process = self._random.choice(list(self.world.processes.values()))
            for shard in list(process.links):
                if self._random.random() < 0.7:
                    process.cut_connections(shard)

    def cut_all(self) -> None:
        shard = self._random.choice(list(self.world.shards.values()))
        self._network.kill(shard.primary, "killed by CLIENT KILL")

    def _separate(self, seconds: float) -> None:
        shard = self._random.choice(list(self.world.shards))
        count = self._random.randint(1, len(PROCESS_NAMES))
        pairs = self.world.pairs(shard, tuple(self._random.sample(PROCESS_NAMES, count)))
        self._network.separate(pairs)
        self.later(seconds, self._network.join, pairs)

    def partition(self) -> None:
        self._separate(self._uniform(0.3, 8))

    def long_partition(self) -> None:
        self._separate(LONG_OUTAGE_SECONDS)

    def slow_down(self) -> None:
        before, self._network.slowest = self._network.slowest, 0.3
        self.later(self._uniform(1, 4), setattr, self._network, "slowest", before)

    # Servers

    def die(self, server: Server) -> None:
        """End a server."""
        server.alive = False
        self._network.kill(server, "the server closed the connection", silently=self._random.random() < 0.3)

    def kill_primary(self) -> None:
        shard = self.idle_shard()
        if shard is not None and shard.standby is not None:
            self.later(self._trouble_before(shard), self._kill, shard)

    def _trouble_before(self, shard: Shard) -> float:
        """Let some processes miss the last that a server does; return how long it has still to live."""
        if self._random.random() < 0.4:
            return 0.0
        some = tuple(self._random.sample(PROCESS_NAMES, self._random.randint(1, 2)))
        pairs = self.world.pairs(shard.name, some)
        self._network.separate(pairs)
        self.later(self._uniform(1.0, 3.0), self._network.join, pairs)
        return self._uniform(0.2, 1.0)

    def _kill(self, shard: Shard) -> None:
        if shard.standby is not None:
            self.die(shard.primary)
            shard.went_down()
            # Now and then it takes longer than senders would keep what they sent, if they went by the clock.
            self.later(self._random.choice((0.05, 0.3, 1.0, 2.0, 7.0)), self.promote, shard)

    def promote(self, shard: Shard) -> None:
        """Fail over to the standby, whatever it lacks."""
        old = shard.promote()
        shard.tell_lost(old)
        if shard.standby is not None and self._random.random() < 0.3:
            self._counts["a new primary killed at once"] += 1
            self.later(self._uniform(0.1, 1.0), self._kill, shard)
        else:
            shard.came_back()
            self.later(self._uniform(0.5, 2), self.free, shard)

    def promote_stale(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            shard.frozen_at = self._clock.now
            self.later(self._uniform(0.0, 1.2) + self._trouble_before(shard), self._die_and_promote, shard)

    def _die_and_promote(self, shard: Shard) -> None:
        self.die(shard.primary)
        self.later(self._uniform(0.3, 1.0), self.promote, shard)

    def isolate(self) -> None:
        """Leave some processes with an old primary that does not know that it is old."""
        shard = self.idle_shard()
        if shard is None or shard.standby is None:
            return
        left = frozenset(self._random.sample(PROCESS_NAMES, self._random.randint(1, len(PROCESS_NAMES))))
        others = tuple(name for name in PROCESS_NAMES if name not in left)
        old, new = shard.primary, shard.standby
        away = [(name, new.name) for name in left]
        # Who reaches both is led to either.
        away += [(name, old.name) for name in others if self._random.random() < 0.6]
        self._network.separate(away)
        self.later(self._uniform(0.3, 1.5), self.promote_beside, shard, left, away)

    def promote_beside(
        self, shard: Shard, left: frozenset[str], away: list[tuple[str, str]], seconds: float = 0.0
    ) -> None:
        """Promote the standby while the primary goes on, with some processes left to it; heal it after a while."""
        old = shard.promote()
        shard.isolated, shard.left_with_isolated = old, left
        self.later(seconds or self._uniform(0.3, 3.0), self._end_isolation, shard, away)

    def cut_off_from_replicas(self) -> None:
        """Leave some processes with a primary whose replicas are gone: soon it takes no more writes from them."""
        shard = self.idle_shard()
        if shard is None or shard.standby is None:
            return
        left = frozenset(self._random.sample(PROCESS_NAMES, self._random.randint(1, len(PROCESS_NAMES))))
        others = tuple(name for name in PROCESS_NAMES if name not in left)
        away = [(name, shard.standby.name) for name in left] + [(name, shard.primary.name) for name in others]
        shard.frozen_at = self._clock.now
        self._network.separate(away)
        self.later(_MAX_LAG_SECONDS, setattr, shard.primary, "refusal", _NO_REPLICAS)
        self.later(_MAX_LAG_SECONDS + 0.1, self.promote_beside, shard, left, away, self._uniform(0.5, 9.0))

    def _end_isolation(self, shard: Shard, away: list[tuple[str, str]]) -> None:
        old = shard.isolated
        assert old is not None
        shard.isolated, shard.left_with_isolated = None, frozenset()
        old.refusal = b""
        self._network.join(away)
        self._demote(shard, old)

    def _demote(self, shard: Shard, old: Server, *, then_free: bool = True) -> None:
        shard.demote(old)
        self._network.kill(old, "killed by CLIENT KILL")
        if then_free:
            self.later(0.5, self.free, shard)

    def demote_by_hand(self) -> None:
        """Fail over as someone does who types REPLICAOF: clients stay where they are, with what is a replica now."""
        shard = self.idle_shard()
        if shard is not None and shard.standby is not None:
            old = shard.promote()
            shard.demote(old)
            shard.primary.forward_to = old
            self.later(6.0, self.free, shard)

    def forth_and_back(self) -> None:
        """Fail over twice, so that the first server is the primary again, while some processes see nothing of it."""
        shard = self.idle_shard()
        if shard is None or shard.standby is None:
            return
        first, second = self._random.sample(PROCESS_NAMES, 2)
        pairs = self.world.pairs(shard.name, (first, second))
        self._network.separate(self.world.pairs(shard.name, (first,)))
        self.later(self._uniform(0.1, 0.6), self._go_forth, shard, pairs)

    def _go_forth(self, shard: Shard, pairs: list[tuple[str, str]]) -> None:
        self._network.separate(pairs)
        self._demote(shard, shard.promote(), then_free=False)
        self.later(self._uniform(0.2, 1.0), self._go_back, shard, pairs)

    def _go_back(self, shard: Shard, pairs: list[tuple[str, str]]) -> None:
        self._demote(shard, shard.promote(lossless=True))
        self.later(self._uniform(0.0, 0.5), self._network.join, pairs)

    def switch_over(self) -> None:
        shard = self.idle_shard()
        if shard is not None and shard.standby is not None:
            self._demote(shard, shard.promote(lossless=True))

    def restart(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            self.later(self._trouble_before(shard), self._die_and_restart, shard)

    def _die_and_restart(self, shard: Shard) -> None:
        keep = self._clock.now - self._random.choice((0.0, self._uniform(0, 1)))
        self.die(shard.primary)
        self.later(self._uniform(0.1, 1.5), self._restart, shard, keep)

    def restart_empty(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            self.die(shard.primary)
            self.later(self._uniform(0.1, 1.5), self._restart, shard, None)

    def empty(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            self.later(self._trouble_before(shard), self._empty, shard)

    def _empty(self, shard: Shard) -> None:
        shard.empty()
        self.later(1, self.free, shard)

    def _restart(self, shard: Shard, keep: float | None) -> None:
        old = shard.restart(keep)
        shard.tell_lost(old)
        shard.primary.loading = self._random.random() < 0.5
        self.later(self._uniform(0.1, 1), setattr, shard.primary, "loading", False)
        self.later(1, self.free, shard)

    def hang(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            self._network.freeze(shard.primary)
            self.later(self._uniform(0.3, 7), self._wake, shard, shard.primary)

    def _wake(self, shard: Shard, server: Server) -> None:
        server.go_on()
        self.free(shard)

    def hang_and_replace(self) -> None:
        """Let a primary hang until it has been replaced, and go on as if nothing had been."""
        shard = self.idle_shard()
        if shard is not None and shard.standby is not None:
            self._network.freeze(shard.primary)
            self.later(self._uniform(0.5, 2.0), self._replace_hanging, shard)

    def _replace_hanging(self, shard: Shard) -> None:
        old = shard.promote()
        self.later(self._uniform(0.3, 5.0), self._wake_demoted, shard, old)

    def _wake_demoted(self, shard: Shard, old: Server) -> None:
        old.go_on()
        self.later(self._uniform(0.01, 0.5), self._demote, shard, old)

    def refuse_writes(self) -> None:
        shard = self.idle_shard()
        if shard is not None:
            shard.primary.refusal = b"OOM command not allowed when used memory > 'maxmemory'."
            self.later(self._uniform(0.3, 2.5), self._accept_writes, shard, shard.primary)

    def _accept_writes(self, shard: Shard, server: Server) -> None:
        server.refusal = b""
        self.free(shard)

    def lose_pushes(self) -> None:
        shard = self._random.choice(list(self.world.shards.values()))
        shard.loses_pushes = True
        self.later(self._uniform(0.3, 2), setattr, shard, "loses_pushes", False)

    # Processes and lists

    def crash_process(self) -> None:
        if self.world.processes:
            self.crash(self._random.choice(list(self.world.processes)))

    def leave_with_connections(self) -> None:
        if self.world.processes:
            self._random.choice(list(self.world.processes.values())).leaves_with_connections = True

    def crash(self, name: str) -> None:
        """End a process without a word, and start it again."""
        self.world.crash_process(name)
        self.later(self._uniform(0.1, 3), self._start_again, name)

    def _start_again(self, name: str) -> None:
        if name not in self.world.processes:
            self.world.start_process(name)

    def roll_twice(self) -> None:
        self._operator.change()
        self.later(self._uniform(0.0, 1.5), self._operator.change)
