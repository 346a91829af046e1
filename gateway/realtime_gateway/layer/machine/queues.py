"""Normal channels: work queues, from which any process may take.

A worker subscribes to a queue's wake-ups and takes one message per waiting receiver. A message that was taken for a
receiver that has gone is put back at the head. While a newer host list is rolled out, earlier owners are asked first.

Each call has a number under which the shard keeps what it took. The next calls say which of them have arrived; what was
taken for a call that nobody heard the answer of, because its connection broke, is the answer to a later one. ``taken``
knows which messages are on their way to a receiver, or back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import EnvelopeInvalid, parse
from realtime_gateway.layer.machine.actions import Call, Dropped, HandOver, Subscribe, Unsubscribe, Way
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.taken import Place, PutBackCall, Taken, TakenMessage

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
        self.unheard: dict[str, int] = {}  # shard → how many messages at most it took whose answers never came
        self.wanted_at = now
        self.looked_at = now


class Queues:
    """The taking side of normal channels."""

    def __init__(self, identity: Identity, limits: Limits, hosts: HostList, emit: Callable[[Any], None]) -> None:
        self._identity = identity
        self._limits = limits
        self._expiry_ms = int(limits.expiry_seconds * 1000)
        self._hosts = hosts
        self._emit = emit
        self._links: set[str] = set()
        self._waiting: dict[str, Waiting] = {}
        self._number = 0
        self.taken = Taken(limits.expiry_seconds)

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

    def unwanted(self, number: int) -> None:
        """The receiver that a message was taken for has gone."""
        self.taken.unwanted(number)
        self._put_back()

    def consumed(self, number: int, now: float) -> None:
        """A receiver has its message."""
        self.taken.consumed(number, now)
        self._put_back()

    def gone(self, channel: str, now: float) -> None:
        """The mailbox of a channel was dropped."""
        self.taken.gone(channel, now)

    def put_back(self, call: PutBackCall, result: Any) -> None:
        """Take the answer to giving messages back; the next tick tries again what was refused."""
        self.taken.answered(call, done=not isinstance(result, Refusal))

    def replied(self, purpose: PopCall, result: Any, now: float) -> None:
        """Take the answer to a pop: a message, or the next owner's turn."""
        waiting = self._waiting.get(purpose.channel)
        if waiting is not None:
            waiting.popping.pop(purpose, None)
        if isinstance(result, Refusal):
            return
        place = Place(purpose.channel, purpose.shard)
        self.taken.told(place, purpose.arrived)
        message, expired = result[:3], result[3:]
        if len(result) == 1:
            message, expired = [], result
        if expired:
            self._emit(Dropped("expired", int(expired[0])))
        if message:
            self._came(place, purpose.number, message, now)
        if waiting is not None:
            self._heard(waiting, purpose, found=bool(message), now=now)
        if not message:
            self._put_back()

    def _came(self, place: Place, number: int, message: list[Any], now: float) -> None:
        _, raw, age_ms = message
        try:
            entry = parse(raw)
        except EnvelopeInvalid:
            self._emit(Dropped("malformed"))
            self.taken.done_with(place, number, now)
            return
        queued_seconds = int(age_ms) / 1000
        expires_at = now + self._limits.expiry_seconds - queued_seconds
        # Both times are of one server's clock, which counts milliseconds.
        way = Way(entry.age_ms / 1000, queued_seconds, 0.001, False) if entry.trace else None
        self._hand_over(self.taken.take(TakenMessage(place, number, entry.trace, entry.body, expires_at, way)))

    def _heard(self, waiting: Waiting, purpose: PopCall, *, found: bool, now: float) -> None:
        """Count what may have been taken unheard: it answers before anything new does."""
        left = waiting.unheard.pop(purpose.shard, 0) - 1
        if found and left > 0:
            waiting.unheard[purpose.shard] = left
            if not waiting.receivers and not waiting.popping:
                self._fetch(purpose.channel, waiting, now)
        elif not found and purpose.later_shards and waiting.receivers > len(waiting.popping):
            self._ask(purpose.channel, waiting, purpose.later_shards)

    def _hand_over(self, one: TakenMessage) -> None:
        self._emit(HandOver(one.place.channel, one.number, one.trace, one.body, one.expires_at, one.way))

    def under_way(self, shard: str) -> bool:
        """Whether something is on its way from a queue on a shard, or back to it."""
        taking = any(call.shard == shard for waiting in self._waiting.values() for call in waiting.popping)
        return taking or self.taken.returns_to(shard)

    def link_up(self, shard: str, now: float) -> None:
        """Give back what was to go back, subscribe again, and look: something may have come meanwhile."""
        self._links.add(shard)
        self._put_back()
        for channel, waiting in self._waiting.items():
            if shard in waiting.owners:
                self._emit(Subscribe(shard, (names.queue(channel),)))
                self._pop(channel, waiting, now)

    def link_down(self, shard: str) -> None:
        """Calls that were under way will not be answered."""
        self._links.discard(shard)
        self.taken.link_down(shard)
        for waiting in self._waiting.values():
            cut = [call for call in waiting.popping if call.shard == shard]
            for call in cut:
                del waiting.popping[call]
            if cut:
                waiting.unheard[shard] = waiting.unheard.get(shard, 0) + len(cut)

    def rebase(self, hosts: HostList, now: float) -> None:
        """Use a newer host list."""
        self._hosts = hosts
        for channel, waiting in self._waiting.items():
            before, waiting.owners = waiting.owners, self._owners(channel)
            waiting.unheard = {shard: count for shard, count in waiting.unheard.items() if shard in waiting.owners}
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

        expired = self.taken.expire(now)
        if expired:
            self._emit(Dropped("expired", expired))
        self._put_back()

    def _put_back(self) -> None:
        """Give back what nobody wants, where nothing that comes before it may still be on its way."""
        for place in self.taken.places_to_put_back():
            call = self.taken.put_back(place, quiet=self._quiet(place)) if place.shard in self._links else None
            if call is not None:
                destination = names.queue(place.channel)
                topic = self._identity.topic(place.shard, destination)
                numbers = [one.number for one in call.messages]
                keys = self._keys(destination)
                self._emit(Call(place.shard, "put_back", keys, (self._expiry_ms, topic, *numbers), call))

    def _quiet(self, place: Place) -> bool:
        waiting = self._waiting.get(place.channel)
        if waiting is None:
            return True
        return place.shard not in waiting.unheard and all(call.shard != place.shard for call in waiting.popping)

    def _keys(self, destination: str) -> tuple[str, str]:
        """The queue, and what this process has taken from it."""
        return self._identity.names.key(destination), self._identity.names.taken(destination, self._identity.process)

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
            returned = self.taken.oldest_returned(channel)
            if returned is not None:
                self._hand_over(self.taken.hold_again(returned))
            else:
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
        place = Place(channel, call.shard)
        call.arrived = self.taken.arrived(place)
        lowest = min(one.number for one in waiting.popping if one.shard == call.shard)
        # By name: below the lowest of these, too, there may be others, of which nobody has heard.
        known = [number for number in self.taken.numbers_here(place) if number < lowest]
        arguments = (self._expiry_ms, call.number, int(take), lowest, len(known), *known, *call.arrived)
        self._emit(Call(call.shard, "pop", self._keys(names.queue(channel)), arguments, call))
