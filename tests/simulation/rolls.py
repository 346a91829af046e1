"""The operator: allots epochs, puts lists onto shards, retires lists, ends shards, and may die in the middle."""

from __future__ import annotations

import json

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from tests.simulation.world import LIMITS, SHARD_NAMES, World, host_list

_NAMES = names.Names("p")


def earlier_lists(current: HostList) -> tuple[HostList, ...]:
    """What the list that follows a list says of what was before."""
    return (HostList(current.epoch, current.shards), *current.earlier)


class Operator:
    """Rolls host lists.

    Attributes:
        rolling: whether a list has been rolled out at all.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._random = world.random
        self._clock = world.clock
        self._latest: dict[str, int] = {}  # process → the epoch that its file has, or will have
        self._complete_since: float | None = None
        self.rolled = False
        world.born.append(lambda process: self._latest.pop(process.name, None))

    def roll(self, shard_names: tuple[str, ...], unheard_by: str = "") -> None:
        """Allot the next epoch to a list of shards: the durable copy first, then all the rest, unless it dies."""
        self.rolled = True
        current = self.world.hosts
        hosts = host_list(current.epoch + 1, shard_names, self.world.weights, earlier_lists(current))
        self._publish(hosts, unheard_by)

    def _publish(self, hosts: HostList, unheard_by: str = "") -> None:
        self.world.allot(hosts)
        self._complete_since = None
        self._clock.note("operator", "ROLL", hosts.epoch, *(one.name for one in hosts.shards))
        random = self._random
        dies = random.random() < 0.3
        self._clock.after(random.uniform(2.0, 4.0), self.come_back)
        if dies:
            self.world.record.counts["operator crashes"] += 1
        for shard in self._all_shards(hosts):
            if not dies or random.random() < 0.3:
                self._clock.after(random.random() * 1.5, self.announce, shard, hosts)
        for name in self.world.processes:
            if name != unheard_by and random.random() < 0.6:
                self._clock.after(random.uniform(0.1, 4.0), self.world.learn, name, hosts)
            else:
                self.world.record.counts["processes that learn late"] += 1

    @staticmethod
    def _all_shards(hosts: HostList) -> list[str]:
        return list(dict.fromkeys(one.name for each in (hosts, *hosts.earlier) for one in each.shards))

    def announce(self, shard: str, hosts: HostList) -> None:
        """Bring a shard up to a list, if it can be reached; a plain list is nobody's business."""
        if not hosts.epoch:
            return
        server = self.world.shards[shard].primary
        if not server.alive or server.frozen or self.world.shards[shard].deleted:
            return
        topic = _NAMES.topic(shard, names.CONTROL)
        keys = (_NAMES.epoch, _NAMES.hosts, _NAMES.data_set)
        server.call("fence", keys, (hosts.epoch, hosts.to_json(), "word-operator", topic))

    def change(self, unheard_by: str = "") -> None:
        """Roll to another list, at random: one shard more or less, other weights, or back to the one before."""
        if self._random.random() < 0.15:
            self._reweigh(unheard_by)
            return
        now = tuple(one.name for one in self.world.hosts.shards)
        choices = [SHARD_NAMES[: len(now) + 1]] if len(now) < len(SHARD_NAMES) else []
        if len(now) > 1:
            choices.append(now[:-1])
            choices.append(now[1:])
        if self.world.hosts.earlier:
            choices.append(tuple(one.name for one in self.world.hosts.earlier[0].shards))
        self.roll(self._random.choice([one for one in choices if one != now]), unheard_by)

    def _reweigh(self, unheard_by: str) -> None:
        """Let shards own more or less than they do."""
        self.world.record.counts["rolls to other weights"] += 1
        self.world.weights = {name: self._random.choice((0.5, 1.0, 2.0)) for name in SHARD_NAMES}
        self.roll(tuple(one.name for one in self.world.hosts.shards), unheard_by)

    def come_back(self) -> None:
        """Start again, and finish what was begun: every shard within reach gets the list."""
        for shard in self._all_shards(self.world.hosts):
            self.announce(shard, self.world.hosts)

    # Retirement

    def watch(self, until: float) -> None:
        """Look once a second whether lists can be retired, and shards ended."""
        if self.world.hosts.earlier or not self._ended_what_is_unused():
            self._look()
        if self._clock.now < until:
            self._clock.after(1.0, self.watch, until)

    def _ended_what_is_unused(self) -> bool:
        used = self._all_shards(self.world.hosts)
        return all(shard.deleted for name, shard in self.world.shards.items() if name not in used)

    def _look(self) -> None:
        if not self._everybody_reports(self.world.hosts.epoch):
            self._complete_since = None
            return
        if self._complete_since is None:
            self._complete_since = self._clock.now
        if not self.world.hosts.earlier:
            self._end_shards()
        elif self._clock.now - self._complete_since > LIMITS.expiry_seconds:
            self.world.record.counts["lists retired"] += len(self.world.hosts.earlier)
            self._publish(HostList(self.world.hosts.epoch + 1, self.world.hosts.shards))

    def _everybody_reports(self, epoch: int) -> bool:
        return all(self._reported(process.id) >= epoch for process in self.world.processes.values())

    def _reported(self, process: str) -> int:
        found = -1
        for one in self.world.hosts.shards:
            text = self.world.shards[one.name].primary.data.values.get(_NAMES.process(process).encode())
            if text is not None:
                found = max(found, int(json.loads(text).get("epoch", -1)))
        return found

    def _end_shards(self) -> None:
        used = self._all_shards(self.world.hosts)
        for name, shard in self.world.shards.items():
            if name not in used and not shard.deleted:
                shard.deleted = True
                self._clock.note("operator", "ended", name)
                for server in shard.servers():
                    server.alive = False
                    self.world.network.kill(server, "the shard is gone")
