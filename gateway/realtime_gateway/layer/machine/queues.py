"""Normal channels: work queues, from which any process may take.

A worker subscribes to a queue's wake-ups and takes one message per waiting receiver. A message that was taken for a
receiver that has gone is put back at the head. While a newer host list is rolled out, earlier owners are asked first.

Each call has a number under which the shard keeps what it took. The next calls say which of them have arrived; what was
taken for a call that nobody heard the answer of, because its connection broke, is the answer to a later one.
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

    __slots__ = ("arrived", "channel", "later_shards", "number", "shard")

    def __init__(self, channel: str, shard: str, number: int, later_shards: tuple[str, ...]) -> None:
        self.channel = channel
        self.shard = shard
        self.number = number
        self.later_shards = later_shards  # owners still to be asked after this one
        self.arrived: tuple[int, ...] = ()  # calls that it says the messages of which have arrived


class Waiting:
    """Local receivers of one normal channel."""

    __slots__ = ("looked_at", "owners", "popping", "receivers", "unheard", "wanted_at")

    def __init__(self, owners: tuple[str, ...], now: float) -> None:
        self.owners = owners  # earlier owners first, the present one last
        self.receivers = 0
        self.popping: dict[PopCall, None] = {}  # calls that have not been answered
        self.unheard: set[str] = set()  # shards that may have taken something whose answer never came
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
        self._number = 0
        # (channel, shard) → calls whose messages have arrived, which the shard has not been told, and since when.
        self._arrived: dict[tuple[str, str], dict[int, float]] = {}

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
            waiting.popping.pop(purpose, None)
        if isinstance(result, Refusal):
            return
        arrived = self._arrived.setdefault((purpose.channel, purpose.shard), {})
        for number in purpose.arrived:
            arrived.pop(number, None)
        message, expired = result[:3], result[3:]
        if len(result) == 1:
            message, expired = [], result
        if expired:
            self._emit(Dropped("expired", int(expired[0])))
        if not message:
            if waiting is not None:
                waiting.unheard.discard(purpose.shard)  # it would have been the answer
            if waiting is not None and purpose.later_shards and waiting.receivers > len(waiting.popping):
                self._ask(purpose.channel, waiting, purpose.later_shards)
            return
        arrived[purpose.number] = now
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
            cut = [call for call in waiting.popping if call.shard == shard]
            for call in cut:
                del waiting.popping[call]
                waiting.unheard.add(shard)

    def rebase(self, hosts: HostList, now: float) -> None:
        """Use a newer host list."""
        self._hosts = hosts
        for channel, waiting in self._waiting.items():
            before, waiting.owners = waiting.owners, self._owners(channel)
            waiting.unheard.intersection_update(waiting.owners)
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
            elif waiting.unheard and not waiting.popping and now - waiting.looked_at >= _LOOK_SECONDS:
                self._fetch(channel, waiting, now)
            elif waiting.receivers or waiting.popping or waiting.unheard:
                continue
            elif now - waiting.wanted_at > _LINGER_SECONDS:
                del self._waiting[channel]
                for shard in waiting.owners:
                    if shard in self._links:
                        self._emit(Unsubscribe(shard, (names.queue(channel),)))

        self._forget(now - self._limits.expiry_seconds)

    def _forget(self, limit: float) -> None:
        """Let go of what a shard need not be told any more: it has forgotten it as well."""
        for place, numbers in list(self._arrived.items()):
            if all(since < limit for since in numbers.values()):
                del self._arrived[place]

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
        self._call(channel, waiting, shards[within_reach[0] :], take=True)

    def _fetch(self, channel: str, waiting: Waiting, now: float) -> None:
        """Ask for what was taken and not heard of, although nobody waits any more: it is put back."""
        waiting.looked_at = now
        for shard in waiting.owners:
            if shard in waiting.unheard and shard in self._links:
                self._call(channel, waiting, (shard,), take=False)

    def _call(self, channel: str, waiting: Waiting, shards: tuple[str, ...], *, take: bool) -> None:
        self._number += 1
        call = PopCall(channel, shards[0], self._number, shards[1:])
        waiting.popping[call] = None
        call.arrived = tuple(self._arrived.get((channel, call.shard), ()))
        key_names, destination = self._identity.names, names.queue(channel)
        keys = (key_names.key(destination), key_names.taken(destination, self._identity.process))
        lowest = min(one.number for one in waiting.popping if one.shard == call.shard)
        arguments = (int(self._limits.expiry_seconds * 1000), call.number, lowest, int(take), *call.arrived)
        self._emit(Call(call.shard, "pop", keys, arguments, call))
