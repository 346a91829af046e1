"""What was taken from queues: until a receiver has it and the shard has heard so, or until it is back in its queue.

    pop ──▶ held ──consumed──▶ arrived ──(the next pop says so)──▶ forgotten
             │ ▲
             │ └──────────── a receiver came first
             └──unwanted──▶ returned ──(put back, and answered)──▶ forgotten

The shard keeps a copy of each under the number of the call that took it, and that copy decides: it is moved to the head
of the queue if it is still there, so trying again changes nothing. What is returned waits until nothing that was taken
there is under way any more, and goes back in one call: receivers that are cancelled together leave the order as it was.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from realtime_gateway.layer.machine.actions import Way


class Place(NamedTuple):
    """The queue of a normal channel on one of its owners."""

    channel: str
    shard: str


class TakenMessage:
    """One message that a call has taken."""

    __slots__ = ("body", "certain", "expires_at", "number", "place", "trace", "way")

    def __init__(
        self, place: Place, number: int, trace: bytes, body: bytes, expires_at: float, way: Way | None = None
    ) -> None:
        self.place = place
        self.number = number
        self.trace = trace
        self.body = body
        self.expires_at = expires_at
        self.way = way
        self.certain = True  # that it is not back in its queue


class PutBackCall:
    """The purpose of a call that gives messages back."""

    __slots__ = ("messages", "place")

    def __init__(self, place: Place, messages: list[TakenMessage]) -> None:
        self.place = place
        self.messages = messages  # the newest first


class Taken:
    """Messages that are on their way from a queue to a receiver, or back.

    Args:
        expiry_seconds: for how long a shard keeps its copies.
    """

    def __init__(self, expiry_seconds: float) -> None:
        self._expiry_seconds = expiry_seconds
        self._held: dict[int, TakenMessage] = {}
        self._returned: dict[int, TakenMessage] = {}
        self._called: dict[Place, PutBackCall] = {}
        self._arrived: defaultdict[Place, dict[int, float]] = defaultdict(dict)  # number → until when it is known there

    def take(self, message: TakenMessage) -> TakenMessage:
        """A message has come; return it, or one that was taken before and is to be handed over first."""
        older = self.oldest_returned(message.place.channel)
        if older is None or older.place != message.place or older.number > message.number:
            self._held[message.number] = message
            return message
        self._returned[message.number] = message
        return self.hold_again(older)

    def oldest_returned(self, channel: str) -> TakenMessage | None:
        """The oldest message of a channel that is here although nobody wanted it, and certainly nowhere else."""
        found = [one for one in self._returned.values() if one.place.channel == channel and one.certain]
        return min(found, key=lambda one: one.number, default=None)

    def hold_again(self, message: TakenMessage) -> TakenMessage:
        """Somebody wants what was returned."""
        del self._returned[message.number]
        self._held[message.number] = message
        return message

    def consumed(self, number: int, now: float) -> None:
        """A receiver has it."""
        message = self._held.pop(number, None)
        if message is not None:
            self.done_with(message.place, number, now)

    def done_with(self, place: Place, number: int, now: float) -> None:
        """The shard's copy is of no use any more."""
        self._arrived[place][number] = now + self._expiry_seconds

    def unwanted(self, number: int) -> None:
        """Its receiver has gone."""
        message = self._held.pop(number, None)
        if message is not None:
            self._returned[number] = message

    def arrived(self, place: Place) -> tuple[int, ...]:
        """The numbers that a shard can forget."""
        return tuple(self._arrived.get(place, ()))

    def told(self, place: Place, numbers: tuple[int, ...]) -> None:
        """A shard has forgotten them."""
        known = self._arrived.get(place, {})
        for number in numbers:
            known.pop(number, None)
        if not known:
            self._arrived.pop(place, None)

    def numbers_here(self, place: Place) -> list[int]:
        """The numbers of what came from a place and is here: whose copies are no answer to another call."""
        return [one.number for each in (self._held, self._returned) for one in each.values() if one.place == place]

    def places_to_put_back(self) -> list[Place]:
        """Where something waits to go back."""
        return [place for place in {one.place: None for one in self._returned.values()} if place not in self._called]

    def put_back(self, place: Place, *, quiet: bool) -> PutBackCall | None:
        """Begin to give back what was returned to a place, if it is its turn.

        Args:
            place: the place.
            quiet: whether no call that may take something there is under way. What may be back already does not wait
                for that: with workers that are never idle it never comes.
        """
        quiet = quiet and all(one.place != place for one in self._held.values())
        here = [one for one in self._returned.values() if one.place == place and (quiet or not one.certain)]
        if not here:
            return None
        for one in here:
            one.certain = False
        call = self._called[place] = PutBackCall(place, sorted(here, key=lambda one: one.number, reverse=True))
        return call

    def answered(self, call: PutBackCall, *, done: bool) -> None:
        """A shard has answered; what it refused is tried again."""
        if self._called.get(call.place) is call:
            del self._called[call.place]
            for one in call.messages if done else ():
                self._returned.pop(one.number, None)

    def link_down(self, shard: str) -> None:
        """What was under way to a shard is tried again when it is back."""
        for place in [place for place in self._called if place.shard == shard]:
            del self._called[place]

    def expire(self, now: float) -> int:
        """Let go of what nobody wants any more; return how many messages were on their way back."""
        for number in [number for number, one in self._held.items() if one.expires_at <= now]:
            self.consumed(number, now)
        late = [one for one in self._returned.values() if one.expires_at <= now]
        for one in late:
            del self._returned[one.number]
            self.done_with(one.place, one.number, now)
        for place, numbers in list(self._arrived.items()):
            if all(until <= now for until in numbers.values()):
                del self._arrived[place]
        return len(late)

    def gone(self, channel: str, now: float) -> None:
        """The mailbox of a channel is no more, with all that is in it."""
        for number in [number for number, one in self._held.items() if one.place.channel == channel]:
            self.consumed(number, now)

    def returns_to(self, shard: str) -> bool:
        """Whether something is on its way back to a shard."""
        return any(one.place.shard == shard for one in self._returned.values())

    def bodies(self) -> list[bytes]:
        """What is here and nobody has."""
        return [one.body for each in (self._held, self._returned) for one in each.values()]

    def clear(self) -> None:
        """The queues have been emptied."""
        for each in (self._held, self._returned, self._called, self._arrived):
            each.clear()
