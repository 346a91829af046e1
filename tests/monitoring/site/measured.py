"""A site whose gateway shows something in every metric: rooms, a queue, refusals, and consumers that fail."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="no secret: lives for seconds on a loopback address",
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["realtime_gateway", "channels"],
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": "realtime_gateway.layer.RedisChannelLayer",
            "CONFIG": {"hosts": json.loads(os.environ["SHARDS"])},
        }
    },
    ASGI_APPLICATION="measured.application",
    LOGGING_CONFIG=None,
)
django.setup()

from channels.layers import get_channel_layer  # noqa: E402  # Django is set up first
from channels.routing import URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from realtime_gateway.consumers import AsyncJsonWebsocketConsumer, fanout  # noqa: E402
from realtime_gateway.security.origins import OriginValidation  # noqa: E402


class Room(AsyncJsonWebsocketConsumer):
    groups = [f"room{number}" for number in range(8)]  # on every shard

    async def receive_json(self, content: Any, **more: Any) -> None:
        if content["to"] == "worker":
            await self.channel_layer.send("thumbnails", {"type": "work", "reply_to": self.channel_name})
        elif content["to"] == "nobody":
            raise ValueError("as it was told to")
        else:
            await self.channel_layer.group_send(content["to"], {"type": "chat.message", "message": content["text"]})

    @fanout
    @classmethod
    def chat_message(cls, event: dict[str, Any]) -> dict[str, Any]:
        return {"message": event["message"]}

    async def work_done(self, event: dict[str, Any]) -> None:
        await self.send_json({"message": "done"})


class Broken(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        raise ValueError("as it always does")


async def worker() -> None:
    layer = get_channel_layer()
    while True:
        event = await layer.receive("thumbnails")
        await layer.send(event["reply_to"], {"type": "work.done"})


routes = URLRouter([path("room/", Room.as_asgi()), path("broken/", Broken.as_asgi())])
validated = OriginValidation(routes, ["http://chat.example"])
tasks: set[asyncio.Task[None]] = set()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if not tasks:
        tasks.add(asyncio.get_running_loop().create_task(worker()))
    await validated(scope, receive, send)
