"""The code of docs/auth.md runs as it is written there; tests/attacks serves its stack of one's own."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.test import RequestFactory, override_settings
from django.urls import path
from tests.integration.auth.conftest import accepting
from tests.support.documented import code_under

from realtime_gateway.auth.jwt import JwtMiddleware
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


async def test_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    routing: Any = ModuleType("chat.routing")
    routing.websocket_urlpatterns = [path("ws/", Hello.as_asgi())]
    monkeypatch.setitem(sys.modules, "chat", ModuleType("chat"))
    monkeypatch.setitem(sys.modules, "chat.routing", routing)
    with override_settings(ALLOWED_HOSTS=["chat.example"]):
        application = run("## Sessions")["application"]
    cookie = (b"cookie", await cookie_of("ann"))
    theirs = WebsocketCommunicator(application, "/ws/", headers=[cookie, (b"origin", b"https://chat.example")])
    assert (await theirs.connect())[0]
    assert await theirs.receive_from() == "ann"
    await theirs.disconnect()
    evil = WebsocketCommunicator(application, "/ws/", headers=[cookie, (b"origin", b"https://evil.example")])
    assert not (await evil.connect())[0]


def test_rules_of_tokens() -> None:
    with override_settings(REALTIME_GATEWAY=run("## JWT")["REALTIME_GATEWAY"]):
        stack = stack_named("jwt")(accepting)
    assert isinstance(stack, JwtMiddleware)
    assert stack._rules.audience == "chat"


def test_places_of_tokens() -> None:
    with override_settings(REALTIME_GATEWAY=run("## JWT")["REALTIME_GATEWAY"]):
        run("## Where a token may stand", inner=accepting)


def test_functions_for_consumers() -> None:
    assert {"get_user", "login", "logout"} <= run("## Logging in and out on a WebSocket").keys()
