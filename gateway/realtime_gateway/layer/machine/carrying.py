"""Normal channels of groups that move: their memberships go along, before anything is sent by the newer host list.

Each process that adopts a list carries them itself, for each shard that it can reach: nobody has to be alive for it,
and doing it twice changes nothing.

    fence answered ──▶ groups ──▶ members ──▶ carry (on the new owner)      the list before is not retired yet
                          └─────────────────▶ drop                          nobody can need them there any more
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.machine.actions import Call, Dropped
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.follow import Server
from realtime_gateway.layer.machine.limits import Identity, Limits

# Groups in one call, so that it holds no server up.
_GROUPS_PER_CALL = 200


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
        self._emit = emit
        self._hosts: HostList | None = None
        self._looked: dict[str, tuple[Server, int]] = {}  # shard → where and for which epoch its groups were looked at
        self._up: dict[str, None] = {}
        self._under_way: dict[CarryCall, str] = {}  # call → the shard that has to answer
        self._waiting: dict[str, list[CarryCall]] = {}  # shard that is out of reach → what it has to take over
        self.done: Callable[[], None] = lambda: None

    @property
    def busy(self) -> bool:
        """Whether something is under way that sending should wait for."""
        return bool(self._under_way)

    def fenced(self, shard: str, server: Server, epoch: int, hosts: HostList) -> None:
        """A shard is at an epoch: look for what it holds of groups that another one owns in it."""
        if epoch == 0 or epoch != hosts.epoch:
            return
        if self._hosts is None or hosts.epoch > self._hosts.epoch:
            self._hosts = hosts
            self._up.clear()
            self._under_way.clear()
            self._waiting.clear()
        self._up[shard] = None
        for call in self._waiting.pop(shard, []):
            self._carry(shard, call)
        if self._looked.get(shard) != (server, epoch):
            self._looked[shard] = (server, epoch)
            self._ask(shard, CarryCall("groups", shard), "groups", (self._names.groups,))

    def link_down(self, shard: str) -> None:
        """What it was asked for is asked again when it is back."""
        self._up.pop(shard, None)
        self._looked.pop(shard, None)
        for call in [call for call, asked in self._under_way.items() if asked == shard]:
            del self._under_way[call]
            if call.step == "carry":
                self._waiting.setdefault(shard, []).append(call)
        self._finish()

    def replied(self, shard: str, purpose: CarryCall, result: Any) -> None:
        """Take the answer to one step and go on to the next."""
        if self._under_way.pop(purpose, None) is None:
            return
        if isinstance(result, Refusal):
            self._emit(Dropped("carry_refused"))
            self._looked.pop(purpose.source, None)
        elif purpose.step == "groups":
            self._sort(shard, [group.decode() for group in result])
        elif purpose.step == "members":
            for group, pairs in zip(purpose.groups, result, strict=True):
                self._hand_over(CarryCall("carry", shard, (group,), tuple(pairs)))
        self._finish()

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
            self._waiting.setdefault(owner, []).append(call)

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
