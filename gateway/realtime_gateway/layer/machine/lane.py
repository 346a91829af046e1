"""What goes to one shard: what waits, what is in flight, and what is kept to be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine.actions import RoundTrip
from realtime_gateway.layer.machine.events import Publish
from realtime_gateway.layer.machine.follow import Server
from realtime_gateway.layer.machine.limits import Limits

# A script holds the server up while it runs: some 2 ms for this many small messages, or this much to copy.
_BATCH_MESSAGES = 256
_BATCH_BYTES = 1024 * 1024
_DIRECT = "!"  # no group is called so
_ADDRESSES = 20_000


class Item:
    """One message on its way to one destination."""

    __slots__ = (
        "acknowledged_at", "body", "capacity", "channel", "deadline", "destination", "first_at", "kind",
        "parent", "previous", "round_trip", "sequence", "size", "source", "ticket", "trace", "tries",
        "unconfirmed_since", "unfinished",
    )  # fmt: skip

    def __init__(self, event: Publish, sequence: int, now: float, deadline: float) -> None:
        self.ticket: int | None
        self.ticket, self.destination, self.kind, self.channel, self.trace, self.body, self.capacity = event
        self.size = len(self.body) + len(self.trace) + 200  # bytes, about
        self.sequence = sequence
        self.previous = -1  # set when it is packed, until it is acknowledged
        self.first_at = now
        self.deadline = deadline
        self.tries = 0  # calls that it was in
        self.round_trip: RoundTrip | None = None  # of the call that stored it, if it is traced
        self.acknowledged_at: float | None = None
        # Acknowledged by a server or an owner that is none any more, and not yet by the present one.
        self.unconfirmed_since: float | None = None
        # A message to a group has one child for each normal channel in it; the caller waits for all of them.
        self.source = _DIRECT
        self.parent: Item | None = None
        self.unfinished = 0

    def outlasts(self, error_code: str) -> bool:
        """Whether it is tried for as long as it may be missed, whatever the error: acknowledged once, or a loss marker.

        Where the key is no stream nobody reads, and so nobody waits for a marker.
        """
        return self.acknowledged_at is not None or (self.kind == Kind.LOSS and error_code != "WRONGTYPE")

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it and no server has ever acknowledged it."""
        return self.acknowledged_at is None and self.ticket is None and self.parent is None


class BatchSent:
    """The purpose of a publish call.

    Attributes:
        sent_at: as whoever makes the call notes it, for traces; until then the machine's time.
        answered_at: likewise; None where nobody has noted it.
    """

    __slots__ = ("answered_at", "items", "sent_at")

    def __init__(self, items: list[Item], sent_at: float) -> None:
        self.items = items
        self.sent_at = sent_at
        self.answered_at: float | None = None

    def answered(self, item: Item, now: float) -> None:
        """Note the call on a message of it that is traced."""
        answered_at = now if self.answered_at is None else self.answered_at
        item.round_trip = RoundTrip(self.sent_at, answered_at, len(self.items), item.tries)


class Lane:
    """What goes to one shard."""

    __slots__ = (
        "addresses", "at_risk", "contact_at", "epoch", "held_up", "in_flight", "in_flight_before", "queue",
        "queue_bytes", "retained", "retained_bytes", "retry_at", "server", "shard", "trouble", "up",
    )  # fmt: skip

    def __init__(self, shard: str, server: Server | None = None) -> None:
        self.shard = shard
        self.up = False
        self.server = server  # where its link led to, when it said so last
        self.epoch: int | None = None  # that the present link has answered; None before it has
        self.queue: deque[Item] = deque()
        self.queue_bytes = 0
        self.in_flight: BatchSent | None = None
        self.in_flight_before: BatchSent | None = None  # at the last look
        self.held_up = False  # its server refuses, or has not answered from one look to the next
        self.retained: deque[Item] = deque()
        self.retained_bytes = 0
        # Destinations of messages that were let go by the bound before they were certain, and when they were stored.
        self.at_risk: dict[str, float] = {}
        self.addresses: dict[str, tuple[str, str, str]] = {}  # destination → keys and pub/sub channel
        self.contact_at = -1e9
        self.retry_at = 0.0
        self.trouble = ""  # why it is out of reach

    def has_room(self, item: Item, bound_bytes: int, paused: bool) -> bool:
        """Whether one more may wait. A burst to a server that takes it is bounded by its senders, who wait for each."""
        flows = self.up and self.epoch is not None and not self.held_up and not paused
        return flows or self.queue_bytes + item.size <= bound_bytes

    def look(self) -> None:
        """See whether its server answers; what has come meanwhile has been read before each look."""
        if self.in_flight is not None and self.in_flight is self.in_flight_before:
            self.held_up = True
        self.in_flight_before = self.in_flight

    def remember(self, destination: str, address: tuple[str, str, str]) -> tuple[str, str, str]:
        """Keep the address of a destination that many messages go to, within a bound; return it."""
        if len(self.addresses) >= _ADDRESSES:
            self.addresses.clear()
        self.addresses[destination] = address
        return address

    def enqueue(self, item: Item) -> None:
        """Add the newest."""
        self.queue.append(item)
        self.queue_bytes += item.size

    def requeue(self, items: Iterable[Item]) -> None:
        """Put items among those that wait, in the order of their sequence numbers, in which they were sent first."""
        merged = sorted((*items, *self.queue), key=lambda item: item.sequence)
        self.queue = deque(merged)
        self.queue_bytes = sum(item.size for item in merged)

    def send_retained_again(self, now: float, moved: Callable[[Item], bool] = lambda item: True) -> list[Item]:
        """Take what was acknowledged out of what is kept, where that no longer counts; return it in order."""
        again = [item for item in self.retained if moved(item)]
        if again:
            gone = set(map(id, again))
            self.retained = deque(item for item in self.retained if id(item) not in gone)
            self.retained_bytes = sum(item.size for item in self.retained)
        for item in again:
            if item.unconfirmed_since is None:
                item.unconfirmed_since = now
        return again

    def take_flying(self) -> list[Item]:
        """Take what is in flight, whose fate is unknown from now on, but for what nobody waits for any more."""
        batch, self.in_flight = self.in_flight, None
        return [] if batch is None else [item for item in batch.items if not item.abandoned]

    def forget_certain(self, limit: float) -> None:
        """Let go of what was stored before ``limit``."""
        while self.retained and (self.retained[0].acknowledged_at or 0.0) < limit:
            self.retained_bytes -= self.retained.popleft().size
        if self.at_risk:
            self.at_risk = {name: at for name, at in self.at_risk.items() if at >= limit}

    def keep_within(self, limits: Limits) -> int:
        """Let go of the oldest that is too much; return how many of these are not certain yet."""
        uncertain, limit = 0, self.contact_at - limits.replay_seconds
        while self.retained and self.retained_bytes > limits.replay_bytes:
            oldest = self.retained.popleft()
            self.retained_bytes -= oldest.size
            stored_at = oldest.acknowledged_at or 0.0
            if stored_at >= limit:
                uncertain += 1
                self.at_risk[oldest.destination] = stored_at
        return uncertain

    def next_batch(self) -> list[Item]:
        """Return the oldest few that fit into one batch; they wait until they are taken."""
        batch: list[Item] = []
        size = 0
        for item in self.queue:
            size += item.size
            if batch and (size > _BATCH_BYTES or len(batch) == _BATCH_MESSAGES):
                break
            batch.append(item)
        return batch

    def take_batch(self, batch: list[Item]) -> None:
        """Take the oldest, as ``next_batch`` has returned them."""
        for item in batch:
            self.queue.popleft()
            self.queue_bytes -= item.size
            item.tries += 1

    def take_waiting(self, chosen: Callable[[Item], bool]) -> list[Item]:
        """Take out of what waits whatever is chosen; return it in order."""
        taken = [item for item in self.queue if chosen(item)]
        if taken:
            gone = set(map(id, taken))
            self.queue = deque(item for item in self.queue if id(item) not in gone)
            self.queue_bytes = sum(item.size for item in self.queue)
        return taken


def nothing_waits(lanes: Mapping[str, Lane]) -> bool:
    """Whether nothing is about to be sent, to any shard."""
    return not any(lane.queue for lane in lanes.values())
