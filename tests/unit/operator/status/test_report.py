from __future__ import annotations

from realtime_operator.status.report import difference

BEFORE = {"phase": "Ready", "url": "ws://chat.test", "connections": 3, "theirs": "x"}


def test_what_has_not_changed_is_not_written() -> None:
    assert difference(BEFORE, {"phase": "Ready", "url": "ws://chat.test", "connections": 3}) == {}


def test_what_has_changed_is_written_and_nothing_else() -> None:
    assert difference(BEFORE, {"phase": "Failed", "url": "ws://chat.test", "connections": 3}) == {"phase": "Failed"}


def test_what_is_no_longer_so_is_taken_away_but_only_where_it_is_ours() -> None:
    assert difference(BEFORE, {"phase": "Ready"}) == {"url": None, "connections": None}
