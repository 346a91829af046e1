"""Situations that chance brings about too rarely: a few faults and messages in just the order that hurts.

In each a *reader* is cut off at the right moment and a *sender* goes on. Which processes and which shard these are,
and which groups happen to be on it or to move, is left to chance.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.simulation.faults import LONG_OUTAGE_SECONDS, Faults
from tests.simulation.rolls import Operator
from tests.simulation.shard import Shard
from tests.simulation.workload import Workload
from tests.simulation.world import LIMITS, PROCESS_NAMES, World


class Situations:
    """Brings situations about; ``kinds`` are added to those of the faults."""

    def __init__(self, world: World, workload: Workload, operator: Operator, faults: Faults) -> None:
        self.world = world
        self._workload = workload
        self._operator = operator
        self._faults = faults
        self._random = world.random
        self._network = world.network
        self.kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "long absence": (2, self.long_absence),
            "late writer dies": (2, self.late_writer_dies),
            "loss on an owner that loses its groups": (2, self.loss_during_a_move),
            "unread when it moves": (2, self.unread_when_it_moves),
            "two rolls unheard": (2, self.two_rolls_unheard),
            "long outage with a loss": (2, self.long_outage_with_a_loss),
            "a link between two primaries": (2, self.link_between_two_primaries),
        }

    def _roles(self) -> tuple[str, str, str]:
        first, second, third = self._random.sample(PROCESS_NAMES, 3)
        return first, second, third

    def _after(self, seconds: float, act: Callable[..., None], *arguments: object) -> None:
        self._faults.later(seconds, act, *arguments)

    def _tell_all(self, name: str) -> None:
        process = self.world.processes.get(name)
        if process is not None:
            for group in self._workload.groups:
                self._workload.send_group(process, group)

    def long_absence(self) -> None:
        """Be away for longer than the history, while others go on: what is trimmed by then is lost, and said."""
        shard = self._faults.idle_shard()
        if shard is not None:
            reader, sender, _ = self._roles()
            pairs = self.world.pairs(shard.name, (reader,))
            self._network.separate(pairs)
            self._after(1.0, self._tell_all, sender)
            self._after(LIMITS.history_seconds + 3, self._tell_all, sender)
            self._after(LONG_OUTAGE_SECONDS, self._network.join, pairs)
            self._after(LONG_OUTAGE_SECONDS, self._faults.free, shard)

    def late_writer_dies(self) -> None:
        """Write to owners that are none any more, and die before hearing of it."""
        _, writer, _ = self._roles()
        for shard in self.world.shards.values():
            shard.deaf = frozenset((writer,))
        self._operator.change(unheard_by=writer)
        for seconds in (0.8, 1.2, 1.6):
            self._after(seconds, self._tell_all, writer)
        self._after(1.7, self._faults.crash, writer)
        self._after(1.8, self._everybody_hears)

    def _everybody_hears(self) -> None:
        for shard in self.world.shards.values():
            shard.deaf = frozenset()

    def loss_during_a_move(self) -> None:
        """Lose what nobody has read yet, on a shard that loses its groups before anybody sends it again."""
        shard = self._faults.idle_shard()
        if shard is None or shard.standby is None:
            return
        reader, sender, _ = self._roles()
        self._network.separate(self.world.pairs(shard.name, (reader,)))
        self._after(0.3, self._tell_all, sender)
        shard.frozen_at = self.world.clock.now
        self._after(0.6, self._faults.die, shard.primary)
        self._after(0.6, self._network.separate, self.world.pairs(shard.name, (sender,)))
        self._after(0.7, self._operator.change)
        self._after(0.8, self._faults.promote, shard)
        self._after(0.9, self._network.join, self.world.pairs(shard.name, (reader,)))
        self._after(6.5, self._network.join, self.world.pairs(shard.name, (sender,)))

    def unread_when_it_moves(self) -> None:
        """Come back to a group that has moved, when its senders have forgotten what is unread on its old owner."""
        shard = self._faults.idle_shard()
        if shard is None:
            return
        reader, sender, _ = self._roles()
        pairs = self.world.pairs(shard.name, (reader,))
        self._network.separate(pairs)
        self._after(0.3, self._tell_all, sender)
        self._after(LIMITS.replay_seconds + 3.0, self._operator.change)
        self._after(LIMITS.replay_seconds + 4.5, self._tell_all, sender)
        self._after(LIMITS.replay_seconds + 5.5, self._network.join, pairs)
        self._after(LIMITS.replay_seconds + 6.0, self._faults.free, shard)

    def two_rolls_unheard(self) -> None:
        """Come back to a group that has moved twice, when its senders have forgotten what the owner in between has."""
        reader, sender, _ = self._roles()
        pairs = [pair for shard in self.world.shards for pair in self.world.pairs(shard, (reader,))]
        self._network.separate(pairs)
        self._after(0.2, self._operator.change, reader)
        self._after(4.0, self._tell_all, sender)
        self._after(LIMITS.replay_seconds + 4.5, self._operator.change, reader)
        self._after(LIMITS.replay_seconds + 5.3, self._network.join, pairs)

    def long_outage_with_a_loss(self) -> None:
        """Fail over so late that whoever went by the clock would have forgotten what has to be sent again."""
        shard = self._faults.idle_shard()
        if shard is None or shard.standby is None:
            return
        reader, sender, _ = self._roles()
        pairs = self.world.pairs(shard.name, (reader,))
        self._network.separate(pairs)
        shard.frozen_at = self.world.clock.now
        self._after(0.2, self._tell_all, sender)
        self._after(0.6, self._faults.die, shard.primary)
        self._after(LIMITS.replay_seconds + 2.0, self._faults.promote, shard)
        self._after(LIMITS.replay_seconds + 2.0, self._network.join, pairs)

    def link_between_two_primaries(self) -> None:
        """Let somebody connect while two servers believe to be the primary."""
        shard = self._faults.idle_shard()
        if shard is None or shard.standby is None:
            return
        reader, on_old, on_new = self._roles()
        old, new = shard.primary, shard.standby
        away = [(on_old, new.name), (on_new, old.name)]
        self._network.separate(away)
        self._after(0.2, self._faults.promote_beside, shard, frozenset((on_old,)), away, 4.8)
        self._after(0.3, self._make_undecided, shard, reader)
        self._after(2.5, self._tell_all, on_new)
        self._after(3.2, self._tell_all, on_old)
        self._after(4.5, self._make_undecided, shard, "")

    def _make_undecided(self, shard: Shard, name: str) -> None:
        shard.undecided = name
        process = self.world.processes.get(name)
        if process is not None:
            process.cut_connections(shard.name)
