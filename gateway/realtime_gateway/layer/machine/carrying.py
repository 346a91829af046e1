"""Normal channels of groups that move: their memberships go along, before anything is sent by the newer host list.

Each process that adopts a list carries them itself, for each shard that it can reach: nobody has to be alive for it,
and doing it twice changes nothing.

    fence answered ──▶ groups ──▶ members ──▶ carry (on the new owner)      the list before is not retired yet
                          └─────────────────▶ drop                          nobody can need them there any more

A step that a shard refuses holds nothing up, and is tried again until it is done: whoever retires the list before waits
for processes to say that nothing of theirs is left to do.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.machine.actions import Call, Dropped, HostsRefused
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.follow import Server
from realtime_gateway.layer.machine.limits import Identity, Limits

# Groups in one call, so that it holds no server up.
_GROUPS_PER_CALL = 200
_AGAIN_SECONDS = 1.0


class CarryCall:
    """The purpose of a call: of whose groups, and which."""

    __slots__ = ("groups", "score_pairs", "source", "step")

    def __init__(
        self, step: str, source: str, groups: tuple[str, ...] = (), score_pairs: tuple[bytes, ...] = ()
    ) -> None:
        self.step = step
        self.source = source
        self.groups = groups
        self.score_pairs = score_pairs


class Carrying:
    """The memberships of normal channels on their way from owner to owner.

    Attributes:
        done: called when nothing is under way any more.
    """

    def __init__(self, identity: Identity, limits: Limits, emit: Callable[[Any], None]) -> None:
        self._names = identity.names
        self._expiry_ms = int(limits.group_expiry_seconds * 1000)
        self._history_seconds = limits.history_seconds
        self._emit = emit
        self._hosts: HostList | None = None
        self._since = 0.0  # when that list came
        self._looked: dict[str, int] = {}  # shard within reach → for which epoch its groups were looked at
        self._servers: dict[str, Server] = {}  # where each shard's link led to last
        self._answered: dict[str, int] = {}  # shard within reach → the epoch that it is at
        self._up: dict[str, None] = {}  # those among them that are at the epoch of the list
        self._gone_at: dict[str, float] = {}  # shard → when it went out of reach
        self._under_way: dict[CarryCall, str] = {}  # call → the shard that has to answer
        # Shard → what it has to take over when it can, by where that comes from: what was found there last holds.
        self._waiting: dict[str, dict[tuple[str, str], CarryCall]] = {}
        self._again_at = 0.0
        self.done: Callable[[], None] = lambda: None

    def busy(self, hosts: HostList, now: float) -> bool:
        """Whether something is under way that sending by a list should wait for."""
        self._begin(hosts, now)
        return bool(self._under_way)

    def settled(self, hosts: HostList, now: float) -> bool:
        """Whether nothing is left to do for a list, so that those before it may be retired as far as this is concerned.

        An earlier owner that stays out of reach for longer than the history is given up, as readers give it up.
        """
        if not hosts.earlier:
            return not self._under_way and not self._waiting
        if self._hosts is None or self._hosts.epoch < hosts.epoch or self._under_way or self._waiting:
            return False
        sources = {shard.name for older in self._hosts.earlier for shard in older.shards}
        limit = now - self._history_seconds
        return all(name in self._looked or self._out_of_reach_since(name) < limit for name in sources)

    def fenced(self, shard: str, server: Server, epoch: int, hosts: HostList, now: float) -> None:
        """A shard is at an epoch: look for what it holds of groups that another one owns in it."""
        self._answered[shard] = epoch
        if self._servers.setdefault(shard, server) != server:
            # What was carried to it may be lost with its last server, and what was dropped there may be back.
            self._servers[shard] = server
            if hosts.earlier:
                self._looked.clear()
        if epoch == hosts.epoch:
            self._begin(hosts, now)

    def link_down(self, shard: str, now: float) -> None:
        """What it was asked for is asked again when it is back."""
        if shard in self._up:
            self._gone_at[shard] = now
        self._up.pop(shard, None)
        self._answered.pop(shard, None)
        self._looked.pop(shard, None)
        for call in [call for call, asked in self._under_way.items() if asked == shard]:
            del self._under_way[call]
            if call.step == "carry":
                self._wait(shard, call)
        self._finish()

    def replied(self, shard: str, purpose: CarryCall, result: Any, now: float) -> None:
        """Take the answer to one step and go on to the next."""
        if self._under_way.pop(purpose, None) is None:
            return
        if isinstance(result, Refusal) or result == 0:
            self._refused(shard, purpose, result, now)
        elif purpose.step == "groups":
            self._sort(shard, [group.decode() for group in result])
        elif purpose.step == "members":
            for group, pairs in zip(purpose.groups, result, strict=True):
                self._hand_over(CarryCall("carry", shard, (group,), tuple(pairs)))
        self._finish()

    def tick(self, now: float) -> None:
        """Try again what was refused."""
        if now >= self._again_at:
            self._again_at = now + _AGAIN_SECONDS
            self._go_on()

    def _begin(self, hosts: HostList, now: float) -> None:
        """Begin with a newer list, and with shards that have come to its epoch, whoever told them of it."""
        if hosts.epoch == 0 or (self._hosts is not None and hosts.epoch < self._hosts.epoch):
            return
        if self._hosts is None or hosts.epoch > self._hosts.epoch:
            self._hosts, self._since = hosts, now
            self._up.clear()
            self._under_way.clear()
            self._waiting.clear()
        come = [shard for shard, epoch in self._answered.items() if epoch == hosts.epoch and shard not in self._up]
        if come:
            self._up.update(dict.fromkeys(come))
            self._go_on()

    def _go_on(self) -> None:
        """Do for each shard within reach what is still to be done."""
        assert self._hosts is not None or not self._up, "a shard is up for a list"
        for shard in self._up:
            for call in self._waiting.pop(shard, {}).values():
                self._carry(shard, call)
            if self._hosts is not None and self._looked.get(shard) != self._hosts.epoch:
                self._looked[shard] = self._hosts.epoch
                self._ask(shard, CarryCall("groups", shard), "groups", (self._names.groups,))

    def _refused(self, shard: str, purpose: CarryCall, result: Any, now: float) -> None:
        self._again_at = now + _AGAIN_SECONDS
        self._emit(Dropped("carry_refused"))
        if purpose.step == "carry":
            self._wait(shard, purpose)
        else:
            self._looked.pop(purpose.source, None)
        if isinstance(result, Refusal):
            self._emit(
                HostsRefused(
                    f"shard {shard} refuses to move the normal channels of groups to where a newer host list has them"
                    f" ({result.text}). It is asked again and again, and no earlier list is retired before."
                )
            )

    def _wait(self, shard: str, call: CarryCall) -> None:
        self._waiting.setdefault(shard, {})[call.source, call.groups[0]] = call

    def _out_of_reach_since(self, shard: str) -> float:
        if shard in self._up:
            return inf
        return max(self._since, self._gone_at.get(shard, self._since))

    def _sort(self, shard: str, groups: list[str]) -> None:
        """Carry over what an earlier list left here, and drop what nobody can need any more."""
        hosts = self._hosts
        assert hosts is not None, "it was set before anything was asked"
        moved = [group for group in groups if hosts.owner(group).name != shard]
        left = [group for group in moved if any(older.owner(group).name == shard for older in hosts.earlier)]
        for portion in _portions(left):
            keys = tuple(self._names.members(names.group(group)) for group in portion)
            self._ask(shard, CarryCall("members", shard, portion), "members", keys)
        for portion in _portions([group for group in moved if group not in set(left)]):
            keys = tuple(self._names.members(names.group(group)) for group in portion)
            head = (self._names.epoch, self._names.groups)
            self._ask(shard, CarryCall("drop", shard), "drop", (*head, *keys), (hosts.epoch, *portion))

    def _hand_over(self, call: CarryCall) -> None:
        assert self._hosts is not None, "it was set before anything was asked"
        owner = self._hosts.owner(call.groups[0]).name
        if not call.score_pairs:
            return
        if owner in self._up:
            self._carry(owner, call)
        else:
            self._wait(owner, call)

    def _carry(self, owner: str, call: CarryCall) -> None:
        assert self._hosts is not None, "it was set before anything was asked"
        group = call.groups[0]
        keys = (self._names.epoch, self._names.groups, self._names.members(names.group(group)))
        self._ask(owner, call, "carry", keys, (self._hosts.epoch, self._expiry_ms, group, *call.score_pairs))

    def _ask(
        self, shard: str, call: CarryCall, script: str, keys: tuple[str, ...], arguments: tuple[Any, ...] = ()
    ) -> None:
        self._under_way[call] = shard
        self._emit(Call(shard, script, keys, arguments, call))

    def _finish(self) -> None:
        if not self._under_way:
            self.done()


def _portions(groups: list[str]) -> list[tuple[str, ...]]:
    return [tuple(groups[start : start + _GROUPS_PER_CALL]) for start in range(0, len(groups), _GROUPS_PER_CALL)]
