from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from realtime_gateway.auth.token_middleware import TokenMiddleware
from realtime_gateway.auth.token_sources import Query
from realtime_gateway.security.denial import Receive, Scope, Send


async def application(scope: object, receive: object, send: object) -> None:
    """Never reached here."""


def test_a_stack_that_does_not_say_whose_a_token_is_fails_when_it_is_made_and_not_at_the_first_handshake() -> None:
    class Forgot(TokenMiddleware):
        def authentcate(self, token: str, scope: object) -> None: ...

    with pytest.raises(TypeError, match=r"abstract method '?authenticate"):
        Forgot(application)


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides that what it wraps is async."""

    @functools.wraps(function)
    def wrapped(*given: Any) -> Any:
        return function(*given)

    return wrapped


class Decorated(TokenMiddleware):
    sources = (Query("token"),)

    @logged
    async def authenticate(self, token: str, scope: Scope) -> Any:
        return {"ann's": "ann"}.get(token)


async def test_a_decorator_that_hides_that_authenticate_is_async_makes_no_user_of_its_coroutine() -> None:
    users: list[Any] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        users.append(scope["user"])
        await receive()
        await send({"type": "websocket.accept"})

    for token, expected in (("ann's", True), ("guessed", False)):
        client = WebsocketCommunicator(Decorated(inner), f"/?token={token}")
        assert (await client.connect())[0] is expected
        await client.wait()
    assert users == ["ann"]
