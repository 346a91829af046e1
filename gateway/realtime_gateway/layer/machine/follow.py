"""One destination that this process receives, what it has read of it where, and what it remembers of it."""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import NamedTuple

from realtime_gateway.layer.envelope import Entry

# Held while a gap is read. Above it the held part is let go: it is in the stream, which is read once more.
_HELD_BYTES = 8 * 1024 * 1024
# The link of a stream's first entry.
BEGINNING = b"0-0"


class Phase(Enum):
    """How a destination is being followed."""

    AWAY = "away"
    SUBSCRIBING = "subscribing"
    JOINING = "joining"
    CATCHING_UP = "catching up"
    FINISHING = "finishing"
    LIVE = "live"


class Server(NamedTuple):
    """What positions in a stream count on: one run of one server, with one data set."""

    run_id: str
    data_set: str


class Span:
    """A stretch of epochs in which one shard owned a destination, and how far it has been read there.

    Attributes:
        since_epoch: the first epoch of the stretch.
        until_epoch: its last one; None while it lasts.
        position: stream id of the last entry that was delivered or skipped; None before the first.
        server: on which the position counts.
        before: the position on an earlier server, when the stream has to be read again on another one.
        whole: whether this reading began at the stream's beginning.
        linked: whether what was read since the last interruption goes on where it had stopped; None before it is known.
        other_data: whether the server has lost the data that was read before.
        reading: the purpose of the call that is awaited.
        waiting_since: since when its end could not be read.
    """

    __slots__ = (
        "before", "linked", "other_data", "position", "reading", "server", "shard", "since_epoch", "until_epoch",
        "waiting_since", "whole",
    )  # fmt: skip

    def __init__(self, shard: str, since_epoch: int) -> None:
        self.shard = shard
        self.since_epoch = since_epoch
        self.until_epoch: int | None = None
        self.position: bytes | None = None
        self.server: Server | None = None
        self.before: bytes | None = None
        self.whole = False
        self.linked: bool | None = None
        self.other_data = False
        self.reading: GapCall | None = None
        self.waiting_since: float | None = None

    def begin(self, server: Server) -> None:
        """Begin to read what was missed, on a server."""
        if self.position is None or self.server != server:
            # Another server may have used the same ids again, or lack the newest: everything is read again.
            self.before = self.before if self.position is None else self.position
            self.position = None
        if self.server is not None and self.server.data_set != server.data_set:
            self.other_data = True
        self.whole = self.whole or self.position is None
        self.server = server
        self.linked = None


class Follow:
    """One destination that this process receives.

    Attributes:
        span: what is read of the present owner.
        chain: what is still to be read of earlier owners, in this order, before the present one.
        past: earlier owners that have been read, as long as a late writer may reach them.
        started: whether anything sent from now on counts, because somebody has been a member.
        away_since: the last time that is known to be without a gap; None while live.
        looked_for: the stream id of the last push that something was missing in front of, so that its stream was read.
    """

    __slots__ = (
        "away_since", "chain", "destination", "held", "held_bytes", "joined_at", "looked_for", "marks", "marks_before",
        "members", "overflowed", "past", "phase", "seen_at", "span", "started", "waiting",
    )  # fmt: skip

    def __init__(self, destination: str, span: Span, now: float) -> None:
        self.destination = destination
        self.span = span
        self.chain: list[Span] = []
        self.past: list[Span] = []
        self.phase = Phase.AWAY
        self.started = False
        self.away_since: float | None = None
        self.members: dict[str, float] = {}  # channel → since when, the oldest first
        self.joined_at = now  # when the newest of them joined
        self.waiting: list[tuple[int, str, float]] = []  # ticket, channel and deadline of joins not yet certain
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.overflowed = False
        # Highest sequence per sender, in two generations: rotating forgets senders that have long been silent.
        self.marks: dict[int, int] = {}
        self.marks_before: dict[int, int] = {}
        self.seen_at = now
        self.looked_for = b""

    @property
    def shard(self) -> str:
        """The present owner."""
        return self.span.shard

    def has(self, span: Span) -> bool:
        """Whether a span is still one of its own: a newer host list may have dropped it."""
        return span is self.span or span in self.chain or span in self.past

    @property
    def wanted(self) -> bool:
        """Whether anybody here is a member or about to be."""
        return bool(self.members or self.waiting)

    def admit(self, channel: str, now: float) -> None:
        """Make a channel a member, in the last place: the first is the first to expire."""
        self.members.pop(channel, None)
        self.members[channel] = self.joined_at = now
        self.started = True

    @property
    def misses_nothing(self) -> bool:
        """Whether who joins now gets all that is sent from now on, wherever a group on the move has it stored."""
        return self.phase is Phase.LIVE or (self.started and self.phase is Phase.FINISHING)

    @property
    def settled(self) -> bool:
        """Whether it follows its present owner, with nothing left to be read of earlier ones."""
        return not self.chain and (self.phase is Phase.LIVE or not self.started)

    def subscribed_on(self) -> frozenset[str]:
        """Shards on which it may have a subscription."""
        if self.chain:
            return frozenset(span.shard for span in self.chain)
        return frozenset() if self.phase is Phase.AWAY else frozenset((self.shard,))

    def rotate(self) -> None:
        """Forget senders that were silent since the last rotation."""
        self.marks_before, self.marks = self.marks, {}

    def take_joins(self, now: float = inf) -> list[tuple[int, str, float]]:
        """Take out the joins that wait, or those of them whose time is up."""
        taken = [one for one in self.waiting if one[2] <= now]
        self.waiting = [one for one in self.waiting if one[2] > now]
        return taken

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

    def mark_of(self, sender: int) -> int:
        """The highest sequence number seen of a sender; -1 when none is remembered."""
        seen = self.marks.get(sender)
        return self.marks_before.get(sender, -1) if seen is None else seen

    def first_time(self, sender: int, sequence: int) -> bool:
        """Whether an entry has not been seen; it counts as seen from now on."""
        if sequence <= self.mark_of(sender):
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
    """The purpose of a join or read call: which span of which destination, on which server."""

    __slots__ = ("follow", "server", "span")

    def __init__(self, follow: Follow, span: Span, server: Server) -> None:
        self.follow = follow
        self.span = span
        self.server = server


def order(stream_id: bytes) -> tuple[int, int]:
    """Return a stream id as numbers, which compare as the server orders them."""
    ms, _, count = stream_id.partition(b"-")
    return int(ms), int(count)
