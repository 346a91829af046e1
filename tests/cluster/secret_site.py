"""A site without a database, which a test mounts into the gateway's pods: one room for all who bring a token."""

# ruff: noqa: E402 - Django is set up before anything that imports a model

from typing import Any

import django

django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.contrib.auth.models import User
from django.urls import path

from realtime_gateway.auth.jwt import JwtMiddleware
from realtime_gateway.routing import gateway_application


def user_by_claim(self: JwtMiddleware, claims: Any) -> User:
    return User(pk=1, username=claims["sub"])


JwtMiddleware._user_by_claim = user_by_claim  # type: ignore[method-assign]


class Room(AsyncJsonWebsocketConsumer):
    """Tells everybody what one says."""

    groups = ("room",)

    async def receive_json(self, content: Any, **_: Any) -> None:
        await self.channel_layer.group_send("room", {"type": "said", "content": content})

    async def said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["content"])


urlpatterns: list[Any] = []
application = gateway_application([path("ws/", Room.as_asgi())])
