from __future__ import annotations

import pytest

from realtime_gateway.layer.machine.continuity import Continuity, continuity
from realtime_gateway.layer.machine.follow import Span

# what is read after an interruption → position, position on an earlier server, link of the entry, whether it was seen
CASES: dict[str, tuple[bytes | None, bytes | None, bytes, bool, Continuity]] = {
    "the entry after the position goes on": (b"5-0", None, b"5-0/3", False, Continuity.GOES_ON),
    "an entry after one that was never read shows a gap": (b"5-0", None, b"5-1/3", False, Continuity.GAP),
    "ids are compared as numbers": (b"9-0", None, b"10-0/3", False, Continuity.GAP),
    "a stream that expired and began anew shows no gap": (b"5-0", None, b"0-0/0", False, Continuity.BEGINS_ANEW),
    "on another server an entry that was seen joins up": (None, b"5-0", b"4-0/3", True, Continuity.GOES_ON),
    "on another server the entry after the position goes on": (None, b"5-0", b"5-0/3", False, Continuity.GOES_ON),
    "on another server one after a part that was lost there goes on": (
        None, b"5-0", b"4-9/3", False, Continuity.GOES_ON,
    ),
    "on another server an entry after trimmed ones shows a gap": (None, b"5-0", b"6-0/3", False, Continuity.GAP),
    "on a server without data a stream begins anew": (None, b"5-0", b"0-0/0", False, Continuity.BEGINS_ANEW),
    "on a new owner the very first entry goes on": (None, None, b"0-0/0", False, Continuity.GOES_ON),
    "on a new owner what was trimmed from before its time does not matter": (
        None, None, b"4-0/2", False, Continuity.GOES_ON,
    ),
    "on a new owner what was trimmed from its time is a gap": (None, None, b"4-0/3", False, Continuity.GAP),
}  # fmt: skip


@pytest.mark.parametrize("sentence", CASES)
def test_what_a_link_says(sentence: str) -> None:
    position, before, link, seen, expected = CASES[sentence]
    span = Span("0", since_epoch=3)
    span.position, span.before = position, before
    assert continuity(span, b"12-0", link, seen=seen) is expected


def test_what_is_no_link_is_refused() -> None:
    span = Span("0", since_epoch=3)
    span.position = b"5-0"
    with pytest.raises(ValueError, match="invalid literal"):
        continuity(span, b"12-0", b"rubbish", seen=False)


def test_only_an_entry_of_the_history_that_both_servers_share_is_a_witness_by_having_been_seen() -> None:
    span = Span("0", since_epoch=3)
    span.before = b"5-0"
    assert continuity(span, b"4-1", b"4-0/3", seen=True) is Continuity.GOES_ON
    # What was sent again to this server had been seen, and says nothing of what was trimmed in front of it.
    assert continuity(span, b"8-0", b"7-0/3", seen=True) is Continuity.GAP
    assert continuity(span, b"8-0", b"0-0/0", seen=True) is Continuity.BEGINS_ANEW
