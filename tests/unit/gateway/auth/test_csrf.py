"""A handshake passes the CSRF check exactly when Django would take a form from the same page."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse
from django.middleware.csrf import CSRF_SESSION_KEY, CsrfViewMiddleware
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


HTTPS = (b"x-forwarded-proto", b"https")
PROXIES = {
    "plain": [HOST, ORIGIN],
    "plain by https": [HOST, (b"origin", b"https://shop.example")],
    "a proxy that ends TLS": [HOST, (b"origin", b"https://shop.example"), HTTPS],
    "a proxy that ends TLS, and a page by http": [HOST, ORIGIN, HTTPS],
    "a proxy that ends TLS, and a referer": [HOST, (b"referer", b"https://shop.example/a"), HTTPS],
    "a proxy that ends TLS, and nothing else": [HOST, HTTPS],
    "a proxy with another name": [(b"host", b"internal"), (b"x-forwarded-host", b"shop.example"), ORIGIN],
    "a proxy that lies": [HOST, (b"x-forwarded-host", b"evil.example"), (b"origin", b"http://evil.example")],
    "no host": [ORIGIN],
    "two origins, ours last": [HOST, (b"origin", b"http://evil.example"), ORIGIN],
    "two origins, ours first": [HOST, ORIGIN, (b"origin", b"http://evil.example")],
    "two hosts": [HOST, HOST, ORIGIN],
    "a form that is none": [HOST, ORIGIN, (b"content-type", b"multipart/form-data"), (b"content-length", b"x")],
}


@pytest.mark.parametrize("proxies", [True, False], ids=["trusted", "not-trusted"])
@pytest.mark.parametrize("case", PROXIES)
async def test_it_says_of_a_proxys_headers_what_django_says_of_a_request(case: str, proxies: bool) -> None:
    headers = [*PROXIES[case], COOKIE]
    trusting = override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"), USE_X_FORWARDED_HOST=True)
    with trusting if proxies else override_settings():
        client = WebsocketCommunicator(CsrfValidation(inner), f"/ws/?csrftoken={SECRET}", headers=headers)
        assert (await client.connect())[0] is django_takes(client.scope)


def django_takes(scope: Scope) -> bool:
    headers = [(name, value) for name, value in scope["headers"] if not name.startswith(b"content-")]
    post = {"type": "http", "method": "POST", "path": "/ws/", "scheme": "http", "query_string": b""}
    request = ASGIRequest({**post, "headers": [*headers, (b"x-csrftoken", SECRET.encode())]}, BytesIO())
    middleware = CsrfViewMiddleware(lambda request: HttpResponse())
    middleware.process_request(request)
    return middleware.process_view(request, lambda request: None, (), {}) is None


async def test_the_token_may_be_a_subprotocol_and_is_never_the_answer() -> None:
    assert await connects("", ORIGIN, COOKIE, subprotocols=["csrf", SECRET]) == (True, "csrf")
    assert seen["subprotocols"] == []


async def test_the_token_may_be_the_sessions() -> None:
    with override_settings(CSRF_USE_SESSIONS=True):
        application = with_session({CSRF_SESSION_KEY: SECRET})
        assert (await connects(f"csrftoken={SECRET}", ORIGIN, application=application))[0]
        assert not (await connects(f"csrftoken={SECRET}", ORIGIN, COOKIE, application=with_session({})))[0]
