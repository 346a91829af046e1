"""The REALTIME_GATEWAY dict: every mistake stops the start, with the name of what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from realtime_gateway.auth.stack import NAMES
from realtime_gateway.settings import STACK_NAMES, GatewaySettings, gateway_settings


def test_without_the_dict_the_defaults_stand() -> None:
    assert gateway_settings() == GatewaySettings()


def test_every_key_is_read() -> None:
    given = {
        "AUTH_STACK": "none",
        "ALLOWED_ORIGINS": ["https://a.example"],
        "SKIP_DATABASE_HOP": False,
        "DIRECT_DISPATCH": False,
        "SKIP_SESSION_LOOK": False,
        "THREADS": 2,
    }
    with override_settings(REALTIME_GATEWAY=given):
        assert gateway_settings() == GatewaySettings("none", None, ("https://a.example",), False, False, False, 2)


def test_the_stacks_that_may_be_named_are_those_that_are_there() -> None:
    assert set(STACK_NAMES) == set(NAMES)


WRONG: dict[str, tuple[Any, str]] = {
    "a typo is answered with the nearest key": ({"AUTH_STAK": "session"}, "Did you mean 'AUTH_STACK'"),
    "a key of another case too": ({"auth_stack": "session"}, "Did you mean 'AUTH_STACK'"),
    "a stranger is answered with all keys": (
        {"XYZ": 1},
        "AUTH_STACK, JWT, ALLOWED_ORIGINS, SKIP_DATABASE_HOP, DIRECT_DISPATCH, SKIP_SESSION_LOOK, THREADS",
    ),
    "one origin is not a list": ({"ALLOWED_ORIGINS": "https://a.example"}, "a list of origins"),
    "a number is not a switch": ({"SKIP_DATABASE_HOP": 1}, "True or False"),
    "no thread is none": ({"THREADS": 0}, "a number from 1 to 1000"),
    "a switch is no number": ({"THREADS": True}, "a number from 1 to 1000"),
    "a stack has a name": ({"AUTH_STACK": 5}, "the name of a stack"),
    "a stack that is not there is none": ({"AUTH_STACK": "magic"}, r"REALTIME_GATEWAY\['AUTH_STACK'\].*session, jwt"),
    "rules of tokens are a dict, and are not printed": ({"JWT": "the secret"}, "must be a dict, not something else"),
    "a period is a number": ({"REVALIDATION_PERIOD_SECONDS": "5m"}, "a number of seconds"),
    "a list is no dict": (["AUTH_STACK"], "must be a dict, not list"),
}


@pytest.mark.parametrize("story", WRONG)
def test_a_mistake_is_refused(story: str) -> None:
    given, part = WRONG[story]
    with override_settings(REALTIME_GATEWAY=given), pytest.raises(ImproperlyConfigured, match=part):
        gateway_settings()
