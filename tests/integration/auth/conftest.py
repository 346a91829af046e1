"""Sockets of users in this process, a real Redis, and another process's layer to speak from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import channel_layers, get_channel_layer
from channels.testing import WebsocketCommunicator
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from tests.support.redis_process import RedisProcess

from realtime_gateway.auth import revalidation, watch
from realtime_gateway.auth.connections import registry
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.consumers.lanes import LANES
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.security.denial import Application, Message, Receive, Scope, Send

SECONDS = 20
BACKEND = "realtime_gateway.layer.RedisChannelLayer"


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture
async def use_layer(redis: RedisProcess) -> AsyncIterator[Callable[..., RedisChannelLayer]]:
    """Make the process use this project's layer; nobody is looked at from time to time."""
    with override_settings(REALTIME_GATEWAY={"REVALIDATION_PERIOD_SECONDS": 0}):
        settings: list[override_settings] = []

        def use(**options: Any) -> RedisChannelLayer:
            config = {"hosts": [redis.url], **options}
            settings.append(override_settings(CHANNEL_LAYERS={"default": {"BACKEND": BACKEND, "CONFIG": config}}))
            settings[-1].enable()
            layer: RedisChannelLayer = get_channel_layer()
            return layer

        yield use
        for one in reversed(settings):
            await get_channel_layer().close()
            one.disable()
        assert "default" not in channel_layers.backends


@pytest.fixture
async def other_process(redis: RedisProcess) -> AsyncIterator[RedisChannelLayer]:
    """The layer of another process."""
    layer = RedisChannelLayer(hosts=[redis.url])
    yield layer
    await layer.close()


async def accepting(scope: Scope, receive: Receive, send: Send) -> None:
    """Accept, and stay until the client or the server has enough."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def known_as(identity: Identity) -> Application:
    """A stack that finds everybody to be the same."""

    async def stack(scope: Scope, receive: Receive, send: Send) -> None:
        await run_watched(accepting, identity, (scope, receive, send), asyncio.get_running_loop().time())

    return stack


@pytest.fixture(autouse=True)
async def no_database_connection_left_in_a_thread(transactional_db: None) -> AsyncIterator[None]:
    """Close what asgiref's thread and the consumers' have opened: the next module's tests may have no database."""
    yield

    def close() -> None:
        # An in-memory database of SQLite is not closed by its own wrapper.
        BaseDatabaseWrapper.close(connections["default"])

    await sync_to_async(close)()
    for lane in LANES._lanes:
        await lane.wrap(close)()


class Sockets:
    """WebSockets of this process."""

    def __init__(self) -> None:
        self._opened: list[WebsocketCommunicator] = []

    async def open(self, stack: Application, **headers: str) -> WebsocketCommunicator:
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        socket = WebsocketCommunicator(stack, "/ws/", headers=given)
        self._opened.append(socket)
        assert (await socket.connect(timeout=SECONDS))[0]
        return socket

    async def close(self) -> None:
        for socket in self._opened:
            await socket.disconnect()
        assert not registry().connections


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    made = Sockets()
    yield made
    await made.close()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """At how many users each look that is over has looked."""
    done: list[int] = []

    def looking(identities: Sequence[Identity]) -> Any:
        answers = revalidation.refusals(identities)
        done.append(len(identities))
        return answers

    monkeypatch.setattr(watch, "refusals", looking)
    return done


async def ending(socket: WebsocketCommunicator) -> tuple[int, str]:
    """With what a socket is closed."""
    message: Message = await socket.receive_output(SECONDS)
    assert message["type"] == "websocket.close"
    return message["code"], message["reason"]
