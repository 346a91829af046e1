"""One bounded queue per local channel: what ``receive()`` waits on.

Messages stay in the mailbox until a receiver takes them out in the same step in which it returns them. A receiver that
is cancelled, at any point, has therefore taken nothing.

    put → [oldest … newest] → take
           full: the newest, the one being put, is refused and counted by the caller

A mailbox is dropped when nobody comes for its messages any more. Nobody says so: a consumer that ends cancels its
receive, just as one does that looks again a moment later, and one whose handler takes minutes does not receive either.
So it is left twice the time that a message lives, and five times as much again while whoever received last may still be
busy with that message.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Container, Iterator
from typing import Protocol

# In lives of a message: every message is here for its whole life before its mailbox is dropped, and a handler may take
# ten minutes at the default expiry before its consumer is taken for dead.
_UNREAD_EXPIRIES = 2
_BUSY_EXPIRIES = 10

# How many notices of the layer's own fit into a mailbox that is full: of a few shards that are lost and come back.
_NOTICES = 8


class Waiter(Protocol):
    """Whoever waits for a message; asyncio's Future fits. Waking means: look into the mailbox."""

    def done(self) -> bool:
        """Whether it was woken or gave up."""
        ...

    def set_result(self, result: None, /) -> None:
        """Wake it, from its own loop."""
        ...


class Attendee(Protocol):
    """Whoever looks into a mailbox between other things, and is woken for each message."""

    def wake(self) -> None:
        """Have it look, from its own loop; does nothing while it is busy, since it looks after that."""
        ...

    def wake_from_elsewhere(self) -> None:
        """The same from any thread, and does nothing once its loop is closed."""
        ...


class Body(Protocol):
    """A message's bytes, opened once and decoded for each member."""

    def decode(self) -> dict[str, object]:
        """Return a dict that nobody else has."""
        ...


class Mailbox:
    """Messages for one local channel, oldest first.

    Attributes:
        capacity: how many messages may wait.
        last_receive_at: when somebody last waited or took; a mailbox without a reader is dropped by it.
        attendees: who look into it between other things, mostly one; not dropped while there is any.
        busy: whether the last thing that happened to it is that somebody took a message, and may be handling it.
        items: the messages with their expiries; None while there are none.
        is_dropped: whether the channel has no mailbox any more, or another one.
    """

    # With the set of all that are filled, which who asks for many members at once looks into without a call for each.
    __slots__ = (
        *("_channel", "_filled", "_waiters"),
        *("attendees", "busy", "capacity", "is_dropped", "items", "last_receive_at"),
    )

    def __init__(self, capacity: int, now: float, channel: str = "", filled: set[str] | None = None) -> None:
        self.capacity = capacity
        self._channel = channel
        self._filled: set[str] = set() if filled is None else filled
        self.last_receive_at = now
        self.attendees: tuple[Attendee, ...] = ()
        self.is_dropped = False
        self.busy = False
        # A deque takes 760 bytes from the first, and most mailboxes are empty at any moment.
        self.items: deque[tuple[float, Body]] | None = None
        self._waiters: tuple[Waiter, ...] = ()  # mostly one, and half the size of a list

    def __len__(self) -> int:
        return len(self.items) if self.items else 0

    @property
    def full(self) -> bool:
        """Whether the next message would be refused."""
        return len(self) >= self.capacity

    @property
    def readers(self) -> int:
        """How many wait now, and have not been woken for a message that is here."""
        return sum(not waiter.done() for waiter in self._waiters)

    def put(self, body: Body, expires_at: float, extra: int = 0) -> bool:
        """Add the newest message and wake one receiver; False when the mailbox is full.

        Args:
            body: the message.
            expires_at: when it is too old.
            extra: how much room there is beyond the capacity.
        """
        items = self.items
        if items is None:
            if self.capacity + extra <= 0:
                return False
            items = self.items = deque()
            self._filled.add(self._channel)
        elif len(items) >= self.capacity + extra:
            return False
        items.append((expires_at, body))
        for attendee in self.attendees:
            attendee.wake()
        if self._waiters:
            self._wake_one()
        return True

    def put_notice(self, body: Body, expires_at: float) -> bool:
        """Add what the layer itself has to say, for which a full mailbox has a little room of its own."""
        return Mailbox.put(self, body, expires_at, _NOTICES)

    def take(self, now: float) -> Body | None:
        """Take the oldest message out; None when there is none. Messages past their expiry are left to ``expire``."""
        self.last_receive_at = now
        items = self.items
        if items is None:
            self.busy = False
            return None
        self.busy = True
        body = items.popleft()[1]
        if not items:
            self.items = None
            self._filled.discard(self._channel)
        return body

    def expire(self, now: float) -> int:
        """Drop messages that are past their expiry from the old end; return how many."""
        items, count = self.items, 0
        while items and items[0][0] <= now:
            items.popleft()
            count += 1
        if count and not items:
            self.clear()
        return count

    def wait(self, waiter: Waiter) -> None:
        """Add a receiver, to be woken when there is something."""
        self._waiters += (waiter,)

    def stop_waiting(self, waiter: Waiter, now: float) -> None:
        """Take out a receiver that was woken or cancelled; hands its wake-up on when it cannot use it."""
        self.last_receive_at = now
        if waiter in self._waiters:
            self._waiters = tuple(one for one in self._waiters if one is not waiter)
        elif self.items:
            # It was woken and then cancelled before it could look: the message is still here for the next one.
            self._wake_one()

    def take_waiters(self) -> tuple[Waiter, ...]:
        """Take all receivers out, for who wakes them on their own loop; they come back with another ``wait``."""
        waiters, self._waiters = self._waiters, ()
        return waiters

    def clear(self) -> None:
        """Forget all messages; receivers go on waiting."""
        self.items = None
        self._filled.discard(self._channel)

    def drain(self) -> list[Body]:
        """Take all messages out, oldest first."""
        items = self.items
        self.clear()
        return [body for _, body in items or ()]

    def _wake_one(self) -> None:
        while self._waiters:
            waiter, *rest = self._waiters
            self._waiters = tuple(rest)
            if woken(waiter):
                return


def woken(waiter: Waiter) -> bool:
    """Wake one who waits; say whether he looks now, and not one who has given up or whose loop is closed."""
    if waiter.done():
        return False
    try:
        waiter.set_result(None)
    except RuntimeError:
        # Of a future whose loop was closed while he waited. What would be lost by an error here is others' messages.
        return False
    return True


class WatchedMailbox(Mailbox):
    """Keeps messages until they are taken, and hears of each trouble in which one may have been missed.

    Attributes:
        lost: what is put in when a message did not fit, or may be missing for another reason.
        back: what is put in when a shard is back and nothing is missing.
    """

    __slots__ = ("back", "lost")

    def __init__(self, capacity: int, now: float, lost: Body, back: Body) -> None:
        super().__init__(capacity, now)
        self.lost = lost
        self.back = back

    def put(self, body: Body, expires_at: float, extra: int = 0) -> bool:
        """Add the newest message; where it does not fit, its reader is told behind those that did."""
        if super().put(body, math.inf, extra):
            return True
        self.tell(lost=True)
        return False

    def tell(self, *, lost: bool) -> None:
        """Add a notice; where it does not fit, those that stand there say as much."""
        if not self.put_notice(self.lost if lost else self.back, math.inf) and lost and self.items:
            # The last of the notices that stand there says it from now on.
            self.items[-1] = (math.inf, self.lost)


class Mailboxes:
    """The mailboxes of this process, by channel.

    Args:
        capacity_of: how many messages may wait on a channel.
        expiry_seconds: how long a message lives; what nobody receives from for a few lives is dropped.

    Attributes:
        filled: the channels in whose mailboxes something waits.
    """

    def __init__(self, capacity_of: Callable[[str], int], expiry_seconds: float) -> None:
        self._capacity_of = capacity_of
        self._expiry_seconds = expiry_seconds
        self._look_at = -math.inf
        self.filled: set[str] = set()
        self._boxes: dict[str, Mailbox] = {}
        self._watched: dict[str, WatchedMailbox] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._boxes)

    def __len__(self) -> int:
        return len(self._boxes)

    def __contains__(self, channel: object) -> bool:
        return channel in self._boxes

    def open(self, channel: str, now: float) -> Mailbox:
        """Return the mailbox of a channel, a new one when there is none."""
        box = self._boxes.get(channel)
        if box is None:
            box = self._boxes[channel] = Mailbox(self._capacity_of(channel), now, channel, self.filled)
        return box

    def open_watched(self, channel: str, box: WatchedMailbox) -> None:
        """Take a mailbox for a new channel."""
        self._boxes[channel] = self._watched[channel] = box

    def tell_watched(self, *, lost: bool) -> None:
        """Tell every watched channel that a shard is back, or that something may be missing."""
        for box in self._watched.values():
            box.tell(lost=lost)

    def missed(self, channels: Container[str]) -> None:
        """Tell the watched ones among channels that a message to them is gone."""
        for channel, box in self._watched.items():
            if channel in channels:
                box.tell(lost=True)

    def get(self, channel: str) -> Mailbox | None:
        """Return the mailbox of a channel, if there is one."""
        return self._boxes.get(channel)

    def drop(self, channel: str) -> int:
        """Forget a channel; return how many messages went with it."""
        box = self._boxes.pop(channel, None)
        self._watched.pop(channel, None)
        self.filled.discard(channel)
        if box is None:
            return 0
        box.is_dropped = True
        return len(box)

    def clear(self) -> None:
        """Empty every mailbox."""
        for box in self._boxes.values():
            box.clear()

    def take_waiters(self) -> list[Waiter]:
        """Take all receivers out of every mailbox."""
        return [waiter for box in self._boxes.values() for waiter in box.take_waiters()]

    def attendees(self) -> list[Attendee]:
        """Return all who look into one."""
        return [attendee for box in self._boxes.values() for attendee in box.attendees]

    def messages(self) -> int:
        """How many messages wait in all of them."""
        return sum(map(len, (*self._filled_boxes(), *self._watched.values())))

    def any_reader(self) -> bool:
        """Whether anybody waits on any of them."""
        return any(box.readers or box.attendees for box in self._boxes.values())

    def expire(self, now: float) -> int:
        """Drop what is past its expiry from every mailbox; return how many messages."""
        return sum(box.expire(now) for box in self._filled_boxes())

    def _filled_boxes(self) -> list[Mailbox]:
        # Of ten thousand hardly any is filled, and to look into each once a second took 2 ms.
        return [box for box in map(self._boxes.get, self.filled) if box is not None]

    def look_for_idle(self, now: float) -> list[tuple[str, float]]:
        """As ``idle``, but at most once in a twentieth of a life: there may be ten thousand."""
        if now < self._look_at:
            return []
        self._look_at = now + self._expiry_seconds / 20
        return self.idle(now)

    def idle(self, now: float) -> list[tuple[str, float]]:
        """Return the channels that nobody has received from for too long, and for how many seconds."""
        unread = now - _UNREAD_EXPIRIES * self._expiry_seconds
        busy = now - _BUSY_EXPIRIES * self._expiry_seconds
        return [
            (channel, now - box.last_receive_at)
            for channel, box in self._boxes.items()
            # Asked in this order, since nearly all of ten thousand are attended.
            if not box.attendees and box.last_receive_at < (busy if box.busy else unread) and not box.readers
        ]
