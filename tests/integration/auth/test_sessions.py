"""What a consumer changes in its session is kept, where that is asked for."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import override_settings

from realtime_gateway.auth.session import session_stack
from realtime_gateway.consumers import AsyncWebsocketConsumer, WebsocketConsumer


class Basket(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await sync_to_async(self.scope["session"].__setitem__)("basket", text_data)
        await self.send(text_data="kept")
        if text_data == "break":
            raise RuntimeError("the consumer failed")


class SlowBasket(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.scope["session"]["basket"] = text_data
        self.send(text_data="kept")


@sync_to_async
def new_session() -> str:
    session = SessionStore()
    session["seen"] = True
    session.save()
    return str(session.session_key)


@sync_to_async
def kept(key: str) -> Any:
    return dict(SessionStore(key).items())


async def put(consumer: Any, what: str, key: str = "", **options: Any) -> WebsocketCommunicator:
    """Open a WebSocket, and put something into the basket."""
    headers = [(b"cookie", f"sessionid={key}".encode())] if key else []
    socket = WebsocketCommunicator(session_stack(consumer.as_asgi(), **options), "/ws/", headers=headers)
    assert (await socket.connect())[0]
    await socket.send_to(text_data=what)
    assert await socket.receive_from() == "kept"
    return socket


@pytest.mark.parametrize("consumer", [Basket, SlowBasket])
async def test_a_modified_session_is_saved_when_its_socket_is_over(consumer: Any) -> None:
    key = await new_session()
    socket = await put(consumer, "tea", key, save_at_disconnect=True)
    assert await kept(key) == {"seen": True}
    await socket.disconnect()
    assert await kept(key) == {"seen": True, "basket": "tea"}


async def test_it_is_saved_too_when_the_consumer_fails() -> None:
    key = await new_session()
    socket = await put(Basket, "break", key, save_at_disconnect=True)
    with pytest.raises(RuntimeError, match="the consumer failed"):
        await socket.wait()
    assert (await kept(key))["basket"] == "break"


@pytest.mark.parametrize(("setting", "basket"), [(False, None), (True, "tea")])
async def test_the_settings_decide_where_the_stack_does_not_say(setting: bool, basket: str | None) -> None:
    key = await new_session()
    with override_settings(REALTIME_GATEWAY={"SAVE_SESSIONS_AT_DISCONNECT": setting}):
        socket = await put(Basket, "tea", key)
        await socket.disconnect()
    assert (await kept(key)).get("basket") == basket


async def test_a_session_that_nobody_changed_is_not_written() -> None:
    key = await new_session()
    stack = session_stack(Basket.as_asgi(), save_at_disconnect=True)
    socket = WebsocketCommunicator(stack, "/ws/", headers=[(b"cookie", f"sessionid={key}".encode())])
    await socket.connect()
    changed = SessionStore(key)
    await sync_to_async(changed.__setitem__)("basket", "by a request")
    await sync_to_async(changed.save)()
    await socket.disconnect()
    assert (await kept(key))["basket"] == "by a request"


async def test_a_session_that_was_logged_out_of_stays_gone() -> None:
    key = await new_session()
    socket = await put(Basket, "tea", key, save_at_disconnect=True)
    await Session.objects.all().adelete()
    await socket.disconnect()
    assert await Session.objects.acount() == 0


@pytest.mark.parametrize("key", ["", "0" * 32])
async def test_a_visitor_without_a_session_gets_none(key: str) -> None:
    socket = await put(Basket, "tea", key, save_at_disconnect=True)
    await socket.disconnect()
    assert await Session.objects.acount() == 0


async def test_a_database_that_is_away_then_is_logged_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(self: SessionStore, must_create: bool = False) -> None:
        raise OperationalError("the database is away")

    socket = await put(Basket, "tea", await new_session(), save_at_disconnect=True)
    monkeypatch.setattr(SessionStore, "save", away)
    with caplog.at_level(logging.ERROR, "realtime_gateway.security"):
        await socket.disconnect()
    assert "could not be saved" in caplog.text
