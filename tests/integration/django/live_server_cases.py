"""Tests as a user of the example would write them; `test_live_server.py` has Django's own runner run them."""

from __future__ import annotations

import os
import signal
import sys
from decimal import Decimal

from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from chat.asgi import application
from chat.models import Order
from django.contrib.auth.models import User
from django.test import TransactionTestCase, override_settings
from websockets.sync.client import ClientConnection, connect

from realtime_gateway.testing import GatewayLiveServerTestCase

IN_MEMORY = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class Case(GatewayLiveServerTestCase):
    def websocket(self, path: str, cookie: str = "") -> ClientConnection:
        headers = {"Cookie": cookie} if cookie else {}
        return connect(
            self.live_server_ws_url + path, origin=self.live_server_url, additional_headers=headers, proxy=None
        )


class OverRedis(Case):
    def test_the_server_has_the_tests_database_and_layer(self) -> None:
        user = User.objects.create_user("someone")
        order = Order.objects.create(user=user, item="Tea", price=Decimal(1))
        self.client.force_login(user)
        cookie = f"sessionid={self.client.cookies['sessionid'].value}"
        with self.websocket("/ws/notifications/", cookie) as socket:
            order.status = Order.Status.PAID
            order.save()
            assert "is paid" in str(socket.recv(timeout=20))

    def test_the_database_is_empty_again(self) -> None:
        assert not User.objects.exists()


@override_settings(CHANNEL_LAYERS=IN_MEMORY)
class InMemory(Case):
    def test_the_server_has_the_overridden_settings(self) -> None:
        with self.websocket("/ws/chat/room/") as one, self.websocket("/ws/chat/room/") as two:
            one.send('{"message": "hello"}')
            assert one.recv(timeout=20) == two.recv(timeout=20)


class NotInTime(Case):
    application = "no.such.application"

    def test_never_runs(self) -> None:
        self.fail("the server cannot have started")


class Killed(Case):
    def test_dies(self) -> None:
        sys.stdout.write(f"server {self._live_server.pid}\n")
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)


class Communicators(TransactionTestCase):
    """The test clients of Channels, over our layer."""

    async def test_a_room(self) -> None:
        headers = [(b"origin", b"http://testserver")]
        one = WebsocketCommunicator(application, "/ws/chat/room/", headers=headers)
        two = WebsocketCommunicator(application, "/ws/chat/room/", headers=headers)
        assert await one.connect(timeout=20) == (True, None)
        assert await two.connect(timeout=20) == (True, None)
        for word in ("one", "two", "three"):
            await one.send_json_to({"message": word})
            assert await two.receive_json_from(timeout=20) == {"message": word}
        await one.disconnect(timeout=20)
        await two.disconnect(timeout=20)

    async def test_a_notification_to_a_user(self) -> None:
        user = await User.objects.acreate_user("someone")
        await self.client.aforce_login(user)
        cookie = f"sessionid={self.client.cookies['sessionid'].value}".encode()
        headers = [(b"origin", b"http://testserver"), (b"cookie", cookie)]
        page = WebsocketCommunicator(application, "/ws/notifications/", headers=headers)
        assert await page.connect(timeout=20) == (True, None)
        await database_sync_to_async(Order.objects.create)(user=user, item="Tea", price=Decimal(1))
        assert (await page.receive_json_from(timeout=20))["status"] == "Placed"
        await page.disconnect(timeout=20)
