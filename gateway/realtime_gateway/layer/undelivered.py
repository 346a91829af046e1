"""Messages on their way into mailboxes, and those among them that wait for their turn, oldest first.

Messages that wait one behind the other for the same members go together: each slice of the members gets all of them,
so that what a member sends on, or what is sent to it, leaves in one write.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any, NamedTuple

from realtime_gateway.layer.mailboxes import Body

# Messages that go together: as many as a consumer handles in one turn.
_TOGETHER = 16


class Delivery:
    """One message for some local channels.

    Attributes:
        kind: what its destination is: "group" or "channel".
        published_at: when its sender sent it, as well as clocks tell, by this process's monotonic one.
        trace: the bytes that carry its context where its trace is recorded.
        members: how many channels get it.
        span: the span of the delivery, or None when nobody follows it.
        put: in how many mailboxes it is.
        refused: how many were full.
        taken: how many the fan-out has taken upon itself.
        offered: whether it has been asked already for all of them.
    """

    __slots__ = (
        "body", "destination", "expires_at", "kind", "members", "offered", "published_at", "put", "refused",
        "span", "taken", "trace",
    )  # fmt: skip

    def __init__(self, destination: str, kind: str, body: Body, expires_at: float, members: int) -> None:
        self.destination = destination
        self.kind = kind
        self.body = body
        self.expires_at = expires_at
        self.members = members
        self.published_at = 0.0
        self.trace = b""
        self.span: Any = None
        self.put = 0
        self.refused = 0
        self.taken = 0
        self.offered = False


class Slice(NamedTuple):
    """What is served in one turn.

    Attributes:
        deliveries: the messages, oldest first.
        channels: the next few who get all of them.
        done: whether these are the last who do.
    """

    deliveries: list[Delivery]
    channels: list[str]
    done: bool


class Undelivered:
    """What waits for its turn.

    Attributes:
        members: how many channels wait for something, each counted once for each message.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Delivery, list[str]]] = deque()
        self._destinations: Counter[str] = Counter()
        self._together: list[Delivery] = []  # messages that some of their members have
        self._rest: Iterator[str] = iter(())  # who has not got them
        self.members = 0

    def __bool__(self) -> bool:
        return bool(self._waiting or self._together)

    def __contains__(self, destination: str) -> bool:
        return destination in self._destinations

    def add(self, delivery: Delivery, channels: Collection[str]) -> None:
        """Add the newest, with a copy of who gets it: the members change while it waits."""
        self._waiting.append((delivery, list(channels)))
        self._destinations[delivery.destination] += 1
        self.members += len(channels)

    def take(self, size: int) -> Slice:
        """Return the next few members, and the oldest messages that all of them get."""
        if not self._together:
            self._begin()
        together = self._together
        channels = list(islice(self._rest, size))
        self.members -= len(channels) * len(together)
        done = len(channels) < size
        if done:
            self._together = []
            for delivery in together:
                self._destinations[delivery.destination] -= 1
                if not self._destinations[delivery.destination]:
                    del self._destinations[delivery.destination]
        return Slice(together, channels, done)

    def clear(self) -> None:
        """Forget all of it."""
        self._waiting.clear()
        self._destinations.clear()
        self._together = []
        self.members = 0

    def _begin(self) -> None:
        first, channels = self._waiting.popleft()
        self._together, self._rest = [first], iter(channels)
        # Nothing is overtaken: only what stands right behind it comes along.
        while self._waiting and len(self._together) < _TOGETHER:
            delivery, others = self._waiting[0]
            if delivery.destination != first.destination or others != channels:
                break
            self._together.append(delivery)
            self._waiting.popleft()
