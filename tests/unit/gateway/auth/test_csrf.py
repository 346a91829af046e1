"""A handshake passes the CSRF check exactly when Django would take a form from the same page."""

from __future__ import annotations

from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.middleware.csrf import CSRF_SESSION_KEY
from django.test import override_settings

from realtime_gateway.auth.csrf import CsrfValidation
from realtime_gateway.security.denial import Application, Receive, Scope, Send

SECRET = "s" * 32
HOST = (b"host", b"shop.example")
ORIGIN = (b"origin", b"http://shop.example")
COOKIE = (b"cookie", b"csrftoken=" + SECRET.encode())
seen: dict[str, Any] = {}


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    seen.update(scope)
    await receive()
    await send({"type": "websocket.accept"})


def with_session(session: dict[str, str]) -> Application:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await CsrfValidation(inner)({**scope, "session": session}, receive, send)

    return middleware


async def connects(
    query: str = "", *headers: tuple[bytes, bytes], application: Application | None = None, **given: Any
) -> Any:
    client = WebsocketCommunicator(
        application or CsrfValidation(inner), f"/ws/?{query}", headers=[HOST, *headers], **given
    )
    return await client.connect()


@pytest.fixture(autouse=True)
def site() -> Any:
    with override_settings(ALLOWED_HOSTS=["shop.example"], CSRF_TRUSTED_ORIGINS=["http://trusted.example"]):
        yield


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        (f"csrftoken={SECRET}", [ORIGIN, COOKIE], True),
        (f"csrftoken={SECRET}", [(b"origin", b"http://trusted.example"), COOKIE], True),
        ("", [ORIGIN, COOKIE], False),
        (f"csrftoken={'x' * 32}", [ORIGIN, COOKIE], False),
        (f"csrftoken={SECRET}", [ORIGIN], False),
        (f"csrftoken={SECRET}&csrftoken={SECRET}", [ORIGIN, COOKIE], False),
        (f"csrftoken={SECRET}", [(b"origin", b"http://sibling.shop.example"), COOKIE], False),
        (f"csrftoken={SECRET}", [(b"origin", b"null"), COOKIE], False),
    ],
)
async def test_a_page_must_bring_the_token_of_its_cookie(
    query: str, headers: list[tuple[bytes, bytes]], expected: bool
) -> None:
    assert (await connects(query, *headers))[0] is expected


async def test_the_token_may_be_a_subprotocol_and_is_never_the_answer() -> None:
    assert await connects("", ORIGIN, COOKIE, subprotocols=["csrf", SECRET]) == (True, "csrf")
    assert seen["subprotocols"] == []


async def test_the_token_may_be_the_sessions() -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        application = with_session({CSRF_SESSION_KEY: SECRET})
        assert (await connects(f"csrftoken={SECRET}", ORIGIN, application=application))[0]
        assert not (await connects(f"csrftoken={SECRET}", ORIGIN, COOKIE, application=with_session({})))[0]
