"""What a user may do on an open WebSocket follows what the site says of its user."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import Permission, User
from tests.integration.auth.conftest import SECONDS, Sockets, ending

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.consumers import AsyncWebsocketConsumer, WebsocketConsumer, requires
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.security.denial import Application, Receive, Scope, Send

UseLayer = Callable[..., RedisChannelLayer]


class Desk(AsyncWebsocketConsumer):
    @requires("auth.change_user")
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data="done")


class SlowDesk(WebsocketConsumer):
    @requires("auth.change_user")
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data="done")


def stack(consumer: Any, user: User) -> Application:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        began_at = asyncio.get_running_loop().time()
        await run_watched(consumer, Identity(user), ({**scope, "user": user}, receive, send), began_at)

    return run


async def ask(socket: WebsocketCommunicator) -> str:
    await socket.send_to(text_data="please")
    return str(await socket.receive_from(SECONDS))


async def test_a_right_that_is_given_counts_at_once_and_one_that_is_taken_closes_the_socket(
    use_layer: UseLayer, sockets: Sockets
) -> None:
    use_layer()
    user = await User.objects.acreate_user("ann")
    permission = await Permission.objects.aget(codename="change_user")
    opened = [await sockets.open(stack(desk.as_asgi(), user)) for desk in (Desk, SlowDesk)]
    assert {await ask(socket) for socket in opened} == {'{"error": "not allowed"}'}
    other = await User.objects.aget(pk=user.pk)
    await sync_to_async(other.user_permissions.add)(permission)
    async with asyncio.timeout(SECONDS):
        while {await ask(socket) for socket in opened} != {"done"}:
            pass
    await sync_to_async(other.user_permissions.remove)(permission)
    assert {await ending(socket) for socket in opened} == {(4403, "permissions changed")}
