"""Auth stacks by name."""

from __future__ import annotations

import pytest
from channels.sessions import CookieMiddleware

from realtime_gateway.auth.stack import no_stack, stack_named
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Receive, Scope, Send


async def inner(scope: Scope, receive: Receive, send: Send) -> None: ...


def test_session_is_channels_own_stack() -> None:
    assert isinstance(stack_named("session")(inner), CookieMiddleware)


def test_none_changes_nothing() -> None:
    assert no_stack(inner) is inner


def test_a_stack_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="session, none"):
        stack_named("jwt")
