"""What goes to one shard: what waits, what is in flight, and what is kept to be sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from realtime_gateway.layer.machine.events import Publish

# A script holds the server up while it runs: some 2 ms for this many small messages, or this much to copy.
_BATCH_MESSAGES = 256
_BATCH_BYTES = 1024 * 1024
_DIRECT = "-"


class Item:
    """One message on its way to one destination."""

    __slots__ = (
        "acknowledged_at", "body", "capacity", "channel", "deadline", "destination", "first_at", "kind", "parent",
        "previous", "sequence", "source", "ticket", "trace", "unfinished",
    )  # fmt: skip

    def __init__(self, event: Publish, sequence: int, now: float, deadline: float) -> None:
        self.ticket: int | None = event.ticket
        self.destination = event.destination
        self.kind = event.kind
        self.channel = event.channel
        self.trace = event.trace
        self.body = event.body
        self.capacity = event.capacity
        self.sequence = sequence
        self.previous = -1  # set when it is packed for the first time
        self.first_at = now
        self.deadline = deadline
        self.acknowledged_at: float | None = None
        # A message to a group has one child for each normal channel in it; the caller waits for all of them.
        self.source = _DIRECT
        self.parent: Item | None = None
        self.unfinished = 0

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.body) + len(self.trace) + 200


class BatchSent:
    """The purpose of a publish call."""

    __slots__ = ("items",)

    def __init__(self, items: list[Item]) -> None:
        self.items = items


class Lane:
    """What goes to one shard."""

    __slots__ = (
        "contact_at", "epoch", "in_flight", "queue", "queue_bytes", "retained", "retained_bytes",
        "retry_at", "run_id", "shard", "trouble", "up",
    )  # fmt: skip

    def __init__(self, shard: str) -> None:
        self.shard = shard
        self.up = False
        self.run_id = ""
        self.epoch: int | None = None  # that the present link has answered; None before it has
        self.queue: deque[Item] = deque()
        self.queue_bytes = 0
        self.in_flight: BatchSent | None = None
        self.retained: deque[Item] = deque()
        self.retained_bytes = 0
        self.contact_at = -1e9
        self.retry_at = 0.0
        self.trouble = ""  # why it is out of reach

    def enqueue(self, item: Item) -> None:
        """Add the newest."""
        self.queue.append(item)
        self.queue_bytes += item.size

    def requeue(self, items: Iterable[Item]) -> None:
        """Put items among those that wait, in the order of their sequence numbers, in which they were sent first."""
        merged = sorted((*items, *self.queue), key=lambda item: item.sequence)
        self.queue = deque(merged)
        self.queue_bytes = sum(item.size for item in merged)

    def take_batch(self) -> list[Item]:
        """Take the oldest few that fit into one batch."""
        batch: list[Item] = []
        size = 0
        while self.queue and len(batch) < _BATCH_MESSAGES:
            size += self.queue[0].size
            if batch and size > _BATCH_BYTES:
                break
            batch.append(self.queue.popleft())
        self.queue_bytes -= sum(item.size for item in batch)
        return batch
