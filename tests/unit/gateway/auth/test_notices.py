"""What processes tell each other of revocations survives the way, and what another version says is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_gateway.auth.notices import Action, Notice, message_of, read_notices
from realtime_gateway.endings import FORBIDDEN

SOME = [
    (0.0, Notice(Action.CHECK, ("1", "2"), "abc")),
    (2.5, Notice(Action.END, ("3",), ending=FORBIDDEN, reason="permissions changed")),
    (0.0, Notice(Action.REFRESH, ("4",))),
]


def test_notices_are_read_as_they_were_written() -> None:
    assert read_notices(message_of(SOME)) == SOME


@pytest.mark.parametrize("change", [{"action": "fly"}, {"users": 5}, {"age_seconds": None}, {"code": ...}])
def test_what_is_not_understood_leaves_the_others(change: dict[str, Any]) -> None:
    message = message_of(SOME)
    message["notices"][0] |= change
    if change == {"code": ...}:
        del message["notices"][0]["code"]
    assert read_notices(message) == SOME[1:]


@pytest.mark.parametrize("message", [{}, {"notices": 5}, {"notices": [5, None, "x"]}])
def test_what_is_no_message_of_ours_holds_no_notice(message: dict[str, Any]) -> None:
    assert read_notices(message) == []


def test_who_came_after_a_notice_about_a_user_is_not_meant() -> None:
    notice = Notice(Action.END, ("1",))
    assert notice.concerns(10.0, began_at=9.0)
    assert not notice.concerns(10.0, began_at=11.0)


def test_a_credential_that_has_ended_does_not_come_back() -> None:
    assert Notice(Action.END, credential="abc").concerns(10.0, began_at=11.0)
    assert not Notice(Action.CHECK, credential="abc").concerns(10.0, began_at=11.0)
