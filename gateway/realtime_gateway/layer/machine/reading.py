"""Reading streams: where one ends when somebody joins, what was missed in it, and what is left on an earlier owner.

A reader that was away reads on from its position on the same server; on another one it reads all that is retained,
since ids may have been used again. Either way it says so when something may be missing: nothing is lost in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer.envelope import Entry, EnvelopeInvalid, Kind, parse
from realtime_gateway.layer.machine.actions import Call, Deliver, Dropped, Lost, Repeated, Replayed, Way
from realtime_gateway.layer.machine.clocks import AGE_ERROR_SECONDS, Clocks
from realtime_gateway.layer.machine.continuity import Continuity, continuity
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.follow import BEGINNING, Follow, GapCall, Phase, Server, Span, order
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.moving import earlier_spans

# What one read returns at most, so that it holds neither side up.
_PAGE_ENTRIES, _PAGE_BYTES = 500, 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FencedLink:
    """A link that is up: the server it leads to, and the epoch that it has answered."""

    server: Server
    epoch: int


class Links:
    """The links that are up and fenced, and what their servers' clocks show."""

    def __init__(self) -> None:
        self.up: dict[str, FencedLink] = {}
        self.met_plain = False  # whether any shard has been at epoch 0 when it was asked
        self.clocks = Clocks()

    def note(self, shard: str, server: Server, epoch: int, server_ms: int, now: float) -> None:
        """A shard has answered a fence."""
        self.up[shard] = FencedLink(server, epoch)
        self.met_plain = self.met_plain or epoch == 0
        self.clocks.note(shard, server, server_ms, now)

    def told_time(self, shard: str, server_ms: int, now: float, error_seconds: float) -> None:
        """A shard has told its time, on being asked that long ago."""
        link = self.up.get(shard)
        if link is not None:
            self.clocks.note(shard, link.server, server_ms, now, error_seconds)

    def since_stored(self, shard: str, stored_ms: int, now: float) -> float:
        """How long ago a shard stored what it pushes now, as well as clocks tell."""
        link = self.up.get(shard)
        return 0.0 if link is None else self.clocks.since_stored(shard, link.server, stored_ms, now)

    def clock_of(self, shard: str) -> tuple[float, float] | None:
        """What a shard's clock shows at our time 0, and by how much that may be wrong, in seconds; None: not known."""
        link = self.up.get(shard)
        return None if link is None else self.clocks.estimate(shard, link.server)

    def way(self, entry: Entry, shard: str, on_its_way_seconds: float, *, replayed: bool) -> Way:
        """Return how an entry came that is traced."""
        clock = self.clock_of(shard)
        return Way(entry.age_ms / 1000, on_its_way_seconds, inf if clock is None else clock[1], replayed)

    def fenced_above(self, span: Span) -> bool:
        """Whether nobody who writes under a span's epochs can reach its shard any more, as far as the link shows."""
        link = self.up.get(span.shard)
        return link is not None and link.epoch > (span.until_epoch or 0)

    def late_spans(self, hosts: HostList, name: str) -> list[Span]:
        """Earlier owners of a name that a late writer may still reach, for somebody who begins to read it now.

        Nothing more comes to one that is fenced, unless another server takes the shard over.
        """
        spans = earlier_spans(hosts, name)
        for span in spans:
            if self.fenced_above(span):
                span.server = self.up[span.shard].server
        return spans


class Reading:
    """Calls that read, and what their answers mean.

    Args:
        deliver: called for each entry that is new here with (follow, entry, age in seconds as decisions need it,
            for how many seconds it has been stored as figures show it, its way if it is traced).

    Attributes:
        live: called with (follow, now) when nothing is missing any more.
        finished: called with (follow, span, now) when an earlier owner was read to its end.
        too_new: called with (follow, entry); whether the entry has to wait for a newer host list.
    """

    def __init__(
        self,
        identity: Identity,
        limits: Limits,
        links: Links,
        emit: Callable[[Any], None],
        deliver: Callable[[Follow, Entry, float, float, Way | None], None],
    ) -> None:
        self._identity = identity
        self._limits = limits
        self._links = links
        self._emit = emit
        self._deliver = deliver
        self.live: Callable[[Follow, float], None] = lambda follow, now: None
        self.finished: Callable[[Follow, Span, float], None] = lambda follow, span, now: None
        self.too_new: Callable[[Follow, Entry], bool] = lambda follow, entry: False

    def ask_for_the_end(self, follow: Follow) -> None:
        """Find out where the stream ends for somebody who joins."""
        self._call(follow, follow.span, "join", ())

    def begin(self, follow: Follow, span: Span) -> None:
        """Read what a span has that was not read yet."""
        span.begin(self._links.up[span.shard].server)
        self._read(follow, span)

    def read_past(self, follow: Follow) -> None:
        """Read earlier owners again that are another server now: it may have taken something from a late writer."""
        for span in follow.past:
            idle = span.reading is None and self._links.fenced_above(span)
            if idle and span.server != self._links.up[span.shard].server:
                self.begin(follow, span)

    def take(
        self, follow: Follow, entry: Entry, age_seconds: float, on_its_way_seconds: float, way: Way | None
    ) -> None:
        """Deliver an entry unless it has been seen."""
        if not follow.first_time(entry.sender, entry.sequence):
            self._emit(Repeated() if way is None else Repeated(traced=_repeated(follow, entry, way)))
        elif entry.kind == Kind.LOSS:
            self._lost(follow, "its sender could not confirm a message")
        else:
            self._deliver(follow, entry, age_seconds, on_its_way_seconds, way)

    def replied(self, purpose: GapCall, result: Any, now: float) -> None:
        """Take the answer to a join or a read."""
        follow, span = purpose.follow, purpose.span
        if span.reading is not purpose or not follow.has(span):
            return  # a newer host list has made it meaningless
        span.reading = None
        if isinstance(result, Refusal):
            # The next tick tries again; the reason reaches the callers when their time is up.
            self._emit(Dropped("read_refused"))
            if span is follow.span:
                follow.phase = Phase.AWAY
        elif span is follow.span and follow.phase is Phase.JOINING:
            span.position, span.server = result[1], purpose.server
            self._links.clocks.note(span.shard, purpose.server, int(result[2]), now)
            self.live(follow, now)
        else:
            self._page(purpose, result, now)

    def _read(self, follow: Follow, span: Span) -> None:
        start = "-" if span.position is None else f"({span.position.decode()}"
        self._call(follow, span, "read", (start, _PAGE_ENTRIES, _PAGE_BYTES))

    def _call(self, follow: Follow, span: Span, script: str, arguments: tuple[str | int, ...]) -> None:
        purpose = span.reading = GapCall(follow, span, self._links.up[span.shard].server)
        keys = (self._identity.names.epoch, self._identity.names.key(follow.destination))
        self._emit(Call(span.shard, script, keys, arguments, purpose))

    def _page(self, purpose: GapCall, result: Any, now: float) -> None:
        follow, span = purpose.follow, purpose.span
        _, server_ms, more, last, page = result
        self._links.clocks.note(span.shard, purpose.server, int(server_ms), now)
        if page:
            self._emit(Replayed(len(page)))
        for stream_id, link, raw in page:
            try:
                entry = parse(raw)
            except EnvelopeInvalid:
                self._emit(Dropped("malformed"))
                span.position = stream_id
                continue
            if span.until_epoch is not None and entry.epoch > span.until_epoch:
                more = 0  # from here on it belongs to a later span
                break
            if span is follow.span and self.too_new(follow, entry):
                return
            self._take_from_page(follow, span, entry, (stream_id, link), now)
        if more:
            self._read(follow, span)
        else:
            if span.linked is None:
                # An empty stream may have expired with what was in it.
                span.linked = span.position == last and last != BEGINNING
            self._end(follow, span, now)

    def _take_from_page(self, follow: Follow, span: Span, entry: Entry, place: tuple[bytes, bytes], now: float) -> None:
        stream_id, link = place
        age_seconds = entry.age_ms / 1000 + self._links.clocks.seconds_since(span.shard, order(stream_id)[0], now)
        if self._is_before_all_members(follow, span, now - age_seconds):
            span.position = stream_id
            return
        mark = follow.mark_of(entry.sender)
        never_read = span.position is None and span.before is None and span in follow.past
        if not never_read:
            try:
                verdict = continuity(span, stream_id, link, seen=entry.sequence <= mark)
            except ValueError:
                self._emit(Dropped("malformed"))
                span.position = stream_id
                return
            if verdict is Continuity.GAP:
                self._lost(follow, f"entries of {span.shard} were trimmed before they could be read")
            if span.linked is None:
                # What follows the first one only goes on from there.
                span.linked = verdict is Continuity.GOES_ON
        if follow.lacks_predecessor(entry):
            self._lost(follow, "a sender's message before this one is missing")
        span.position = stream_id
        if span.whole and mark < 0 and age_seconds > self._limits.memory_seconds:
            return  # so old that it may have been seen and forgotten: beyond any window
        on_its_way_seconds = self._links.since_stored(span.shard, order(stream_id)[0], now)
        way = self._links.way(entry, span.shard, on_its_way_seconds, replayed=True) if entry.trace else None
        self.take(follow, entry, age_seconds, on_its_way_seconds, way)

    @staticmethod
    def _is_before_all_members(follow: Follow, span: Span, sent_at: float) -> bool:
        """Whether an earlier owner, read late and only for what is still to come there, holds something older.

        To remember its sender would prove a gap where that sender's next message names one of the time in between.
        """
        late = span.whole and span.before is None and span in follow.past
        return late and sent_at + AGE_ERROR_SECONDS < next(iter(follow.members.values()), inf)

    def _end(self, follow: Follow, span: Span, now: float) -> None:
        """Everything of a span was read."""
        span.position = span.position or BEGINNING
        span.whole, span.before = False, None
        if span in follow.past:
            span.other_data = False
            return
        self._judge_absence(follow, span, now)
        if follow.chain:
            self.finished(follow, span, now)
        elif follow.overflowed:
            follow.overflowed = False
            self._read(follow, span)
        else:
            self.live(follow, now)

    def _judge_absence(self, follow: Follow, span: Span, now: float) -> None:
        """Say that something may be missing where the reader was away for longer than anybody keeps anything."""
        away_seconds = 0.0 if follow.away_since is None else now - follow.away_since
        if not span.linked and away_seconds > self._limits.history_seconds:
            self._lost(follow, f"away for {away_seconds:.0f} s, longer than the history")
        elif span.other_data and away_seconds > self._limits.replay_seconds:
            self._lost(follow, f"{span.shard} lost its data, and senders keep theirs for a shorter time")
        span.other_data = False

    def _lost(self, follow: Follow, reason: str) -> None:
        if follow.started:
            self._emit(Lost((follow.destination,), reason))


def _repeated(follow: Follow, entry: Entry, way: Way) -> Deliver:
    return Deliver((), entry.kind, follow.destination, entry.trace, b"", 0.0, 0.0, way)
