"""The code of docs/auth.md runs as it is written there; tests/attacks serves its stack of one's own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import ModuleType
from typing import Any

import jwt
import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory, override_settings
from django.urls import path
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import RefreshToken
from tests.integration.auth.conftest import SECONDS
from tests.support.documented import code_under

from realtime_gateway.auth.session import session_stack
from realtime_gateway.auth.signing_keys import PublishedKeys
from realtime_gateway.auth.stack import stack_named
from realtime_gateway.consumers import AsyncWebsocketConsumer


class Hello(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(text_data=self.scope["user"].get_username())


def run(heading: str, **given: Any) -> dict[str, Any]:
    names: dict[str, Any] = dict(given)
    exec(code_under("auth.md", heading), names)
    return names


@sync_to_async
def cookie_of(name: str) -> bytes:
    request = RequestFactory().get("/")
    request.session = SessionStore()
    user = request.user = User.objects.create_user(name)
    login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return f"sessionid={request.session.session_key}".encode()


@pytest.fixture(autouse=True)
def routing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The routing that the snippets import."""
    routing: Any = ModuleType("chat.routing")
    routing.websocket_urlpatterns = [path("ws/", Hello.as_asgi())]
    monkeypatch.setitem(sys.modules, "chat", ModuleType("chat"))
    monkeypatch.setitem(sys.modules, "chat.routing", routing)


async def greeting(
    application: Any, *headers: tuple[bytes, bytes], query: str = "", offered: Sequence[str] = (), first: str = ""
) -> str | None:
    """Return whom a client is greeted as, or None where it is refused."""
    subprotocols = list(offered) or None
    client = WebsocketCommunicator(application, f"/ws/?{query}", headers=list(headers), subprotocols=subprotocols)
    if not (await client.connect(SECONDS))[0]:
        return None
    if first:
        await client.send_to(text_data=first)
    said = await client.receive_output(SECONDS)
    await client.disconnect()
    return said.get("text")


async def test_sessions() -> None:
    with override_settings(ALLOWED_HOSTS=["chat.example"]):
        application = run("## Sessions")["application"]
    cookie = (b"cookie", await cookie_of("ann"))
    theirs = WebsocketCommunicator(application, "/ws/", headers=[cookie, (b"origin", b"https://chat.example")])
    assert (await theirs.connect())[0]
    assert await theirs.receive_from() == "ann"
    await theirs.disconnect()
    evil = WebsocketCommunicator(application, "/ws/", headers=[cookie, (b"origin", b"https://evil.example")])
    assert not (await evil.connect())[0]


RSA = rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def issuer(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., str]]:
    """What signs tokens of a user, while its keys are published at the address that the document names."""
    key = jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
    document = json.dumps({"keys": [key | {"kid": "a"}]}).encode()

    def get(url: str) -> bytes:
        assert url == "https://id.example.com/jwks.json"
        return document

    monkeypatch.setattr(PublishedKeys.__init__, "__defaults__", (get, time.monotonic))

    def token(user: User, audience: str = "chat") -> str:
        claims = {"sub": str(user.pk), "iss": "https://id.example.com", "aud": audience, "exp": time.time() + 3600}
        return jwt.encode(claims, RSA, "RS256", {"kid": "a"})

    with override_settings(REALTIME_GATEWAY=run("## JWT")["REALTIME_GATEWAY"]):
        yield token


def bearing(token: str, word: str = "Bearer") -> tuple[bytes, bytes]:
    return (b"authorization", f"{word} {token}".encode())


async def test_rules_of_tokens(issuer: Callable[..., str]) -> None:
    user = await User.objects.acreate_user("ann")
    application = stack_named("jwt")(Hello.as_asgi())
    assert await greeting(application, bearing(issuer(user))) == "ann"
    assert await greeting(application, bearing(issuer(user, "bank"))) is None


async def test_places_of_tokens(issuer: Callable[..., str]) -> None:
    user = await User.objects.acreate_user("ann")
    application = run("## Where a token may stand", inner=Hello.as_asgi())["application"]
    for token, expected in ((issuer(user), "ann"), (issuer(user, "bank"), None)):
        assert await greeting(application, bearing(token)) == expected
        assert await greeting(application, offered=["bearer", token]) == expected
        assert await greeting(application, query=f"token={token}") == expected
        assert await greeting(application, (b"cookie", f"jwt-auth={token}".encode())) == expected
        assert await greeting(application, first=token) == expected


async def test_tokens_of_django_rest_framework() -> None:
    user = await User.objects.acreate_user("ann")
    token = await Token.objects.acreate(user=user)
    application = run("## Tokens of Django REST framework")["application"]
    assert await greeting(application, bearing(token.key, "Token")) == "ann"
    assert await greeting(application, offered=["bearer", token.key]) == "ann"
    assert await greeting(application, bearing("0" * 40, "Token")) is None


async def test_tokens_of_simple_jwt() -> None:
    user = await User.objects.acreate_user("ann")
    refresh = await sync_to_async(RefreshToken.for_user)(user)
    application = run("## SimpleJWT")["application"]
    assert await greeting(application, bearing(str(refresh.access_token))) == "ann"
    assert await greeting(application, offered=["bearer", str(refresh.access_token)]) == "ann"
    assert await greeting(application, bearing(str(refresh))) is None


async def test_functions_for_consumers() -> None:
    await sync_to_async(User.objects.create_user)("ann", password="s3cret")
    desk = run("## Logging in and out on a WebSocket")["Desk"]
    client = WebsocketCommunicator(session_stack(desk.as_asgi()), "/ws/")
    assert (await client.connect(SECONDS))[0]
    for asked, answer in (
        ({"username": "ann", "password": "guess"}, "AnonymousUser"),
        ({"username": "ann", "password": "s3cret"}, "ann"),
        ("out", "AnonymousUser"),
    ):
        await client.send_json_to(asked)
        assert await client.receive_json_from(SECONDS) == answer
    await client.disconnect()
