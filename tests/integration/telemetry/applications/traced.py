"""A site whose consumers know nothing of traces, and an application without Channels."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="no secret: lives for seconds on a loopback address",
    INSTALLED_APPS=["realtime_gateway", "channels"],
    CHANNEL_LAYERS={"default": {"BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {"send_timeout": 30}}},
    ASGI_APPLICATION="traced.application",
    LOGGING_CONFIG=None,
)
django.setup()

from channels.consumer import AsyncConsumer  # noqa: E402  # Django is set up first
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer  # noqa: E402  # Django is set up first
from channels.routing import ChannelNameRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from realtime_gateway import consumers  # noqa: E402
from realtime_gateway.fanout.handlers import fanout  # noqa: E402
from realtime_gateway.security.origins import OriginValidation  # noqa: E402

logger = logging.getLogger("site")
PAGE = Path(__file__).with_name("page.html")


class Chat(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        self.group = "chat_" + self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        if self.group == "chat_audited":
            await self.channel_layer.group_add(self.group, "audit")
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        logger.warning("a client says %s", text_data)
        if text_data == "fail":
            raise ValueError("what the client said")
        if text_data == "through a worker":
            await self.channel_layer.send(
                "thumbnails", {"type": "work", "message": text_data, "reply_to": self.channel_name}
            )
        elif text_data == "to myself":
            await self.channel_layer.send(self.channel_name, {"type": "chat.message", "message": text_data})
        else:
            await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": text_data})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"message": event["message"]}))


class Failing(Chat):
    async def chat_message(self, event: dict[str, Any]) -> None:
        raise ValueError(event["message"])


class Fast(consumers.AsyncWebsocketConsumer):
    groups = ["fast_room"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.channel_layer.group_send("fast_room", {"type": "chat.message", "message": text_data})

    @fanout
    @classmethod
    def chat_message(cls, event: dict[str, Any]) -> str:
        return str(event["message"])


class SyncChat(WebsocketConsumer):
    groups = ["chat_sync"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        from asgiref.sync import async_to_sync

        async_to_sync(self.channel_layer.group_send)("chat_sync", {"type": "chat.message", "message": text_data})

    def chat_message(self, event: dict[str, Any]) -> None:
        logger.warning("a member hears %s", event["message"])
        self.send(text_data=event["message"])


class Worker(AsyncConsumer):
    async def work(self, event: dict[str, Any]) -> None:
        await self.channel_layer.send(event["reply_to"], {"type": "chat.message", "message": event["message"]})


class Auditor(AsyncConsumer):
    async def chat_message(self, event: dict[str, Any]) -> None:
        pass


async def plain(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Echoes; no Channels, and one task for everything."""
    while True:
        message = await receive()
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        else:
            return


async def page(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A page whose script talks to the room that its address names."""
    headers = [(b"content-type", b"text/html; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE.read_bytes()})


websockets = URLRouter(
    [
        path("chat/<str:room>/", Chat.as_asgi()),
        path("chat/<str:room>/failing/", Failing.as_asgi()),
        path("sync/", SyncChat.as_asgi()),
        path("fast/", Fast.as_asgi()),
        path("plain/", plain),
    ]
)
checked = OriginValidation(websockets, ["127.0.0.1", "(missing)"])
workers = ChannelNameRouter({"thumbnails": Worker.as_asgi(), "audit": Auditor.as_asgi()})


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await checked(scope, receive, send)
    elif scope["type"] == "channel":
        await workers(scope, receive, send)
    elif scope["type"] == "http":
        await page(scope, receive, send)


def run_worker() -> None:
    from django.core.management import call_command

    call_command("runworker", "thumbnails", "audit")
