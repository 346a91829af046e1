"""Whether what is read of a stream goes on where the reader had stopped, so that a loss never stays silent.

Each entry has a link: id and epoch of the entry before it in its stream. Streams are trimmed at their heads, lose their
ends when an older replica takes over, vanish when nobody writes for long, and begin anew when a server lost its data.
"""

from __future__ import annotations

from enum import Enum

from realtime_gateway.layer.machine.follow import BEGINNING, Span, order

_SLASH = ord("/")


class Continuity(Enum):
    """What an entry's link says."""

    GOES_ON = "goes on"
    GAP = "gap"
    BEGINS_ANEW = "begins anew"  # nothing speaks for a gap here; how long the reader was away has to decide


def continuity(span: Span, stream_id: bytes, link: bytes, *, seen: bool) -> Continuity:
    """Judge the first entry that was read after an interruption, or any later one.

    Args:
        span: where the reader is.
        stream_id: of the entry.
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
        # One that was seen is a witness of the history that both servers share, unless it was sent again to this one.
        shared = seen and order(stream_id) <= order(span.before)
        return Continuity.GOES_ON if shared else _on_another_server(span.before, previous)
    # The first time here: what was trimmed matters if it was written since this shard became the owner.
    return Continuity.GAP if previous != BEGINNING and int(epoch) >= span.since_epoch else Continuity.GOES_ON


def _on_another_server(before: bytes, previous: bytes) -> Continuity:
    if previous == BEGINNING:
        return Continuity.BEGINS_ANEW
    # One below the position is of the history that both servers share; what came after it here was lost there.
    return Continuity.GAP if order(previous) > order(before) else Continuity.GOES_ON


def goes_on(span: Span, payload: bytes, start: int, end: int) -> bool:
    """Whether the link of what is pushed names the position, or one before it where the stream began anew.

    Args:
        span: of a follow that is live.
        payload: what was pushed.
        start: where the link begins in it.
        end: where the link ends.

    Raises:
        ValueError: it is no link.
    """
    position = span.position
    assert position is not None, "a live follow has one"
    if payload.startswith(position, start) and payload[start + len(position)] == _SLASH:
        return True
    return order(payload[start:end].partition(b"/")[0]) <= order(position)
