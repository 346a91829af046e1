"""Normal channels: work queues, from which any process may take.

A worker subscribes to a queue's wake-ups and takes one message per waiting receiver. A message that was taken for a
receiver that has gone is put back at the head. While a newer host list is rolled out, earlier owners are asked first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import EnvelopeInvalid, parse
from realtime_gateway.layer.machine.actions import Call, Dropped, HandOver, Subscribe, Unsubscribe
from realtime_gateway.layer.machine.events import Refusal, Unwanted
from realtime_gateway.layer.machine.limits import Identity, Limits

# A wake-up may be lost with its connection, so a waiting worker also looks by itself.
_LOOK_SECONDS = 1.0
# A worker that is between two messages keeps its subscription.
_LINGER_SECONDS = 10.0


class PopCall:
    """The purpose of a pop call."""

    __slots__ = ("channel", "later_shards", "shard")

    def __init__(self, channel: str, shard: str, later_shards: tuple[str, ...]) -> None:
        self.channel = channel
        self.shard = shard
        self.later_shards = later_shards  # owners still to be asked after this one


class Waiting:
    """Local receivers of one normal channel."""

    __slots__ = ("looked_at", "owners", "popping", "receivers", "wanted_at")

    def __init__(self, owners: tuple[str, ...], now: float) -> None:
        self.owners = owners  # earlier owners first, the present one last
        self.receivers = 0
        self.popping: set[PopCall] = set()  # calls that have not been answered
        self.wanted_at = now
        self.looked_at = now


class Queues:
    """The taking side of normal channels."""

    def __init__(self, identity: Identity, limits: Limits, hosts: HostList, emit: Callable[[Any], None]) -> None:
        self._identity = identity
        self._limits = limits
        self._hosts = hosts
        self._emit = emit
        self._links: set[str] = set()
        self._waiting: dict[str, Waiting] = {}

    def wanted(self, channel: str, receivers: int, now: float) -> None:
        """The number of receivers that wait on a channel has changed."""
        waiting = self._waiting.get(channel)
        if waiting is None:
            if receivers == 0:
                return
            waiting = self._waiting[channel] = Waiting(self._owners(channel), now)
            self._subscribe(channel, waiting)
        waiting.receivers, waiting.wanted_at = receivers, now
        self._pop(channel, waiting, now)

    def woken(self, destination: str, now: float) -> None:
        """Something was queued."""
        waiting = self._waiting.get(names.name_of(destination))
        if waiting is not None:
            self._pop(names.name_of(destination), waiting, now)

    def unwanted(self, event: Unwanted) -> None:
        """Put a message back at the head of its queue."""
        shard = self._owners(event.channel)[-1]
        destination = names.queue(event.channel)
        expiry_ms, topic = int(self._limits.expiry_seconds * 1000), self._identity.topic(shard, destination)
        arguments = (event.queued_ms, event.raw, expiry_ms, topic)
        if shard in self._links:
            self._emit(Call(shard, "put_back", (self._identity.names.key(destination),), arguments, None))
        else:
            self._emit(Dropped("put_back_unreachable"))

    def replied(self, purpose: PopCall, result: Any, now: float) -> None:
        """Take the answer to a pop: a message, or the next owner's turn."""
        waiting = self._waiting.get(purpose.channel)
        if waiting is not None:
            waiting.popping.discard(purpose)
        if isinstance(result, Refusal):
            return
        message, expired = result[:3], result[3:]
        if len(result) == 1:
            message, expired = [], result
        if expired:
            self._emit(Dropped("expired", int(expired[0])))
        if not message:
            if waiting is not None and purpose.later_shards and waiting.receivers > len(waiting.popping):
                self._ask(purpose.channel, waiting, purpose.later_shards)
            return
        queued_ms, raw, age_ms = message
        try:
            entry = parse(raw)
        except EnvelopeInvalid:
            self._emit(Dropped("malformed"))
            return
        expires_at = now + self._limits.expiry_seconds - int(age_ms) / 1000
        self._emit(HandOver(purpose.channel, queued_ms, raw, entry.trace, entry.body, expires_at))

    def link_up(self, shard: str, now: float) -> None:
        """Subscribe again, and look: something may have come meanwhile."""
        self._links.add(shard)
        for channel, waiting in self._waiting.items():
            if shard in waiting.owners:
                self._emit(Subscribe(shard, (names.queue(channel),)))
                self._pop(channel, waiting, now)

    def link_down(self, shard: str) -> None:
        """Pops that were under way will not be answered."""
        self._links.discard(shard)
        for waiting in self._waiting.values():
            waiting.popping = {call for call in waiting.popping if call.shard != shard}

    def rebase(self, hosts: HostList, now: float) -> None:
        """Use a newer host list."""
        self._hosts = hosts
        for channel, waiting in self._waiting.items():
            before, waiting.owners = waiting.owners, self._owners(channel)
            for shard in (one for one in before if one not in waiting.owners):
                self._emit(Unsubscribe(shard, (names.queue(channel),)))
            for shard in (one for one in waiting.owners if one not in before):
                if shard in self._links:
                    self._emit(Subscribe(shard, (names.queue(channel),)))
            self._pop(channel, waiting, now)

    def tick(self, now: float) -> None:
        """Look by ourselves now and then; leave queues that nobody waits on."""
        for channel, waiting in list(self._waiting.items()):
            if waiting.receivers and now - waiting.looked_at >= _LOOK_SECONDS:
                self._pop(channel, waiting, now)
            elif not waiting.receivers and not waiting.popping and now - waiting.wanted_at > _LINGER_SECONDS:
                del self._waiting[channel]
                for shard in waiting.owners:
                    if shard in self._links:
                        self._emit(Unsubscribe(shard, (names.queue(channel),)))

    def _owners(self, channel: str) -> tuple[str, ...]:
        lists = (*reversed(self._hosts.earlier), self._hosts)
        return tuple(dict.fromkeys(reversed([one.owner(channel).name for one in lists])))[::-1]

    def _subscribe(self, channel: str, waiting: Waiting) -> None:
        for shard in waiting.owners:
            if shard in self._links:
                self._emit(Subscribe(shard, (names.queue(channel),)))

    def _pop(self, channel: str, waiting: Waiting, now: float) -> None:
        waiting.looked_at = now
        for _ in range(waiting.receivers - len(waiting.popping)):
            self._ask(channel, waiting, waiting.owners)

    def _ask(self, channel: str, waiting: Waiting, shards: tuple[str, ...]) -> None:
        within_reach = [index for index, shard in enumerate(shards) if shard in self._links]
        if not within_reach:
            return
        index = within_reach[0]
        call = PopCall(channel, shards[index], shards[index + 1 :])
        waiting.popping.add(call)
        keys = (self._identity.names.key(names.queue(channel)),)
        expiry_ms = int(self._limits.expiry_seconds * 1000)
        self._emit(Call(call.shard, "pop", keys, (expiry_ms,), call))
