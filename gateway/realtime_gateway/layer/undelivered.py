"""Messages on their way into mailboxes, and those among them that wait for their turn, oldest first."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Any

from realtime_gateway.layer.mailboxes import Body


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
        "_rest", "body", "destination", "expires_at", "kind", "members", "offered", "published_at", "put", "refused",
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
        self._rest: Iterator[str] = iter(())

    def wait(self, channels: Collection[str]) -> None:
        """Keep a copy of who gets it: the members change while it waits."""
        self._rest = iter(list(channels))

    def next_slice(self, size: int) -> list[str]:
        """Return the next few who have not got it."""
        return list(islice(self._rest, size))


class Undelivered:
    """What waits for its turn.

    Attributes:
        members: how many channels wait for something, each counted once for each message.
    """

    def __init__(self) -> None:
        self._waiting: deque[Delivery] = deque()
        self._destinations: Counter[str] = Counter()
        self.members = 0

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, destination: str) -> bool:
        return destination in self._destinations

    def add(self, delivery: Delivery, channels: Collection[str]) -> None:
        """Add the newest."""
        delivery.wait(channels)
        self._waiting.append(delivery)
        self._destinations[delivery.destination] += 1
        self.members += len(channels)

    def take(self, size: int) -> tuple[Delivery, list[str], bool]:
        """Return the oldest, the next few who get it, and whether it is done with them."""
        delivery = self._waiting[0]
        channels = delivery.next_slice(size)
        self.members -= len(channels)
        done = len(channels) < size
        if done:
            self._waiting.popleft()
            self._destinations[delivery.destination] -= 1
            if not self._destinations[delivery.destination]:
                del self._destinations[delivery.destination]
        return delivery, channels, done

    def clear(self) -> None:
        """Forget all of it."""
        self._waiting.clear()
        self._destinations.clear()
        self.members = 0
