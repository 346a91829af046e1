"""One destination that this process receives, and what it remembers of it."""

from __future__ import annotations

from enum import Enum

from realtime_gateway.layer.envelope import Entry

# Held while a gap is read. Above it the held part is let go: it is in the stream, which is read once more.
_HELD_BYTES = 8 * 1024 * 1024


class Phase(Enum):
    """How a destination is being followed."""

    AWAY = "away"
    SUBSCRIBING = "subscribing"
    JOINING = "joining"
    CATCHING_UP = "catching up"
    FINISHING = "finishing"
    LIVE = "live"


class Follow:
    """One destination that this process receives."""

    __slots__ = (
        "destination", "held", "held_bytes", "marks", "marks_before", "members", "overflowed", "phase", "position",
        "position_run_id", "read_whole", "reading", "seen_at", "shard", "waiting",
    )  # fmt: skip

    def __init__(self, destination: str, shard: str, now: float) -> None:
        self.destination = destination
        self.shard = shard
        self.phase = Phase.AWAY
        self.position: bytes | None = None  # stream id of the last entry that was delivered or skipped
        self.position_run_id = ""  # on the server with this run id
        self.read_whole = False  # there was a position, on another server
        self.members: dict[str, float] = {}  # channel → since when, the oldest first
        self.waiting: list[tuple[int, str, float]] = []  # ticket, channel and deadline of joins not yet certain
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.overflowed = False
        self.reading: object | None = None  # the purpose of the call that is awaited
        # Highest sequence per sender, in two generations: rotating forgets senders that have long been silent.
        self.marks: dict[int, int] = {}
        self.marks_before: dict[int, int] = {}
        self.seen_at = now

    @property
    def wanted(self) -> bool:
        """Whether anybody here is a member or about to be."""
        return bool(self.members or self.waiting)

    def rotate(self) -> None:
        """Forget senders that were silent since the last rotation."""
        self.marks_before, self.marks = self.marks, {}

    def hold(self, payload: bytes) -> None:
        """Keep what is pushed before its turn, within a bound: all of it is in the stream as well."""
        self.held_bytes += len(payload)
        if self.held_bytes > _HELD_BYTES:
            self.take_held()
            self.overflowed = True
        else:
            self.held.append(payload)

    def take_held(self) -> list[bytes]:
        """Return what is held, and hold nothing."""
        held, self.held, self.held_bytes = self.held, [], 0
        return held

    def first_time(self, sender: int, sequence: int) -> bool:
        """Whether an entry has not been seen; it counts as seen from now on."""
        seen = self.marks.get(sender)
        if seen is None:
            seen = self.marks_before.get(sender, -1)
        if sequence <= seen:
            return False
        self.marks[sender] = sequence
        return True

    def lacks_predecessor(self, entry: Entry) -> bool:
        """Whether the sender sent something before this entry that never came here.

        Only what came since the last rotation proves it: what was sent while nobody here was a member is no gap.
        """
        seen = self.marks.get(entry.sender)
        return seen is not None and entry.previous > seen and entry.sequence > seen


class GapCall:
    """The purpose of a join or read call."""

    __slots__ = ("follow", "run_id")

    def __init__(self, follow: Follow, run_id: str) -> None:
        self.follow = follow
        self.run_id = run_id


def order(stream_id: bytes) -> tuple[int, int]:
    """Return a stream id as numbers, which compare as the server orders them."""
    ms, _, count = stream_id.partition(b"-")
    return int(ms), int(count)
