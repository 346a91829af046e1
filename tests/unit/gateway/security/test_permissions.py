"""Who is let into a group, and who may do what."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Reason
from realtime_gateway.security.permissions import GroupPolicies, NotAllowed, may, note_refusal
from realtime_gateway.telemetry import recorder


def user(*permissions: str, **more: Any) -> Any:
    made = {"is_authenticated": True, "has_perm": lambda name, about=None: name in permissions, **more}
    return SimpleNamespace(**made)


@pytest.mark.parametrize(
    ("group", "rule"),
    [
        ("tea", True),
        ("room-1", "chat.enter"),
        ("room-secret", False),
        ("room", False),
        ("Tea", False),
        ("tea.x", False),
        ("", False),
    ],
)
def test_the_first_pattern_that_matches_decides_and_none_is_a_refusal(group: str, rule: object) -> None:
    assert GroupPolicies({"tea": True, "room-secret": False, "room-*": "chat.enter"}).rule(group) == rule


@pytest.mark.parametrize("rule", [None, 5, ["chat.enter"]])
def test_a_rule_that_is_none_stops_the_start(rule: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'room-\*'"):
        GroupPolicies({"room-*": rule})


def test_all_permissions_are_wanted_and_none_wants_a_login() -> None:
    ann = user("a", "b")
    assert may(ann, ("a", "b"))
    assert not may(ann, ("a", "c"))
    assert may(ann, ())


@pytest.mark.parametrize("nobody", [None, "ann", AnonymousUser(), SimpleNamespace(is_authenticated=True)])
def test_who_is_nobody_or_has_no_permissions_may_nothing(nobody: Any) -> None:
    assert not may(nobody, ("a",))


@pytest.mark.parametrize("nobody", [None, "ann", AnonymousUser()])
def test_who_is_not_logged_in_may_not_even_what_needs_no_permission(nobody: Any) -> None:
    assert not may(nobody, ())


def test_the_object_is_asked_about() -> None:
    asked: list[object] = []
    ann = user(has_perm=lambda name, about=None: asked.append((name, about)) or True)
    assert may(ann, ("a",), 7)
    assert asked == [("a", 7)]


def test_a_refusal_is_counted_by_reason_and_logged_where_somebody_wants_to_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = recorder.denials.values.get("group", 0)
    with caplog.at_level(logging.INFO, "realtime_gateway.security"):
        note_refusal({"user": "ann", "path": "/ws/"}, NotAllowed("the group x is not for her", reason=Reason.GROUP))
    assert recorder.denials.values["group"] == before + 1
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "Refused 'ann' on '/ws/': the group x is not for her")
    ]
