"""A user's typed project in one file: mypy in strict mode must find nothing wrong with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.urls import URLPattern, path

from realtime_gateway.consumers import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    NotAllowed,
    fanout,
    requires,
)
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.hosts import HostList, owner
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.resource import RealtimeGateway, load_resource
from realtime_gateway.routing import gateway_application
from realtime_gateway.security.denial import Application, Receive, Scope, Send
from realtime_gateway.testing import GatewayLiveServerTestCase


class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


async def may_enter(user: Any, group: str) -> bool:
    return group == f"user-{user.pk}"


class Room(AsyncJsonWebsocketConsumer):
    groups = ["tea"]
    group_policies = {"tea": True, "staff": "chat.moderate", "user-*": may_enter}

    @requires("chat.add_message", close=True)
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        event = {"type": "chat.message", "message": str(content), "sender": self.channel_name}
        await self.channel_layer.group_send("tea", event)
        await self.send_json({"sent": True})

    async def not_allowed(self, refused: NotAllowed) -> None:
        await self.send_json({"type": "sorry", "why": refused.reason.told})

    @fanout(exclude="sender")
    @classmethod
    def chat_message(cls, event: dict[str, Any]) -> dict[str, str]:
        return {"message": event["message"]}

    @fanout
    @classmethod
    async def room_closes(cls, event: dict[str, Any]) -> str:
        return "bye"


class Visits(JsonWebsocketConsumer):
    fanout_direct = False

    def connect(self) -> None:
        self.accept(subprotocol=None)
        self.send_json({"user": self.scope["user"]})


websocket_urlpatterns: list[URLPattern] = [path("ws/echo/", Echo.as_asgi()), path("ws/room/", Room.as_asgi())]


def with_tenant(inner: Application) -> Application:
    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope, "tenant": "tea"}, receive, send)

    return middleware


origins: Sequence[str] = ["https://chat.example.com"]
application: Application = gateway_application(websocket_urlpatterns, auth=with_tenant, origins=origins)
by_name: Application = gateway_application("mysite.routing.websocket_urlpatterns", auth="session")


async def tell(layer: RedisChannelLayer, group: str) -> None:
    await layer.group_send(group, {"type": "chat.message", "message": "hello"})


def replicas(file: Path) -> int:
    try:
        resource: RealtimeGateway = load_resource(file)
    except ConfigurationError as error:
        raise SystemExit(error.message) from error
    return resource.spec.replicas


def where(hosts: HostList, group: str) -> str:
    return owner(group, hosts.shards).name


class TestEcho(GatewayLiveServerTestCase):
    def test_the_address(self) -> None:
        address: str = self.live_server_ws_url
        assert address.startswith("ws://")
