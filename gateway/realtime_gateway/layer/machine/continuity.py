"""Whether what is read of a stream goes on where the reader had stopped, so that a loss never stays silent.

Each entry has a link: id and epoch of the entry before it in its stream. Streams are trimmed at their heads, lose their
ends when an older replica takes over, vanish when nobody writes for long, and begin anew when a server lost its data.
"""

from __future__ import annotations

from enum import Enum

from realtime_gateway.layer.machine.follow import BEGINNING, Span, order


class Continuity(Enum):
    """What an entry's link says."""

    GOES_ON = "goes on"
    GAP = "gap"
    BEGINS_ANEW = "begins anew"  # nothing speaks for a gap here; how long the reader was away has to decide


def continuity(span: Span, link: bytes, *, seen: bool) -> Continuity:
    """Judge the first entry that was read after an interruption, or any later one.

    Args:
        span: where the reader is.
        link: of the entry.
        seen: whether the entry itself had been seen before.

    Raises:
        ValueError: the link is none.
    """
    previous, _, epoch = link.partition(b"/")
    if span.position is not None:
        if previous == span.position:
            return Continuity.GOES_ON
        return Continuity.GAP if order(previous) > order(span.position) else Continuity.BEGINS_ANEW
    if span.before is not None:
        return _on_another_server(span.before, previous, seen=seen)
    # The first time here: what was trimmed matters if it was written since this shard became the owner.
    return Continuity.GAP if previous != BEGINNING and int(epoch) >= span.since_epoch else Continuity.GOES_ON


def _on_another_server(before: bytes, previous: bytes, *, seen: bool) -> Continuity:
    if seen:
        return Continuity.GOES_ON
    if previous == BEGINNING:
        return Continuity.BEGINS_ANEW
    # One below the position is of the history that both servers share; what came after it here was lost there.
    return Continuity.GAP if order(previous) > order(before) else Continuity.GOES_ON
