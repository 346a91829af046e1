"""What processes tell each other of revocations survives the way, and what another version says is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_gateway.auth.notices import Action, Notice, read_notice
from realtime_gateway.endings import FORBIDDEN


@pytest.mark.parametrize("action", Action)
def test_a_notice_is_read_as_it_was_written(action: Action) -> None:
    notice = Notice(action, ("1", "2"), "abc", FORBIDDEN, "permissions changed")
    assert read_notice(notice.message()) == notice


@pytest.mark.parametrize("message", [{}, {"action": "fly"}, {**Notice(Action.END).message(), "users": 5}])
def test_what_is_not_understood_is_no_notice(message: dict[str, Any]) -> None:
    assert read_notice(message) is None
