"""A site of many users, known by their tokens, each in a group of its own, with limits for each of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
            "CONFIG": {"hosts": [os.environ["SHARD"]]},
        }
    },
    REALTIME_GATEWAY={
        "AUTH_STACK": "jwt",
        "JWT": {"KEY": os.environ["TOKEN_KEY"], "USER": "crowded.user_of", "REQUIRE_EXPIRY": False},
        # A look at who is still a user has to do with a database, of which there is none.
        "REVALIDATION_PERIOD_SECONDS": 0,
    },
    ROOT_URLCONF=(),
    ASGI_APPLICATION="crowded.application",
    LOGGING_CONFIG=None,
)
django.setup()

from django.urls import path  # noqa: E402  # Django is set up first

from realtime_gateway.consumers import AsyncJsonWebsocketConsumer  # noqa: E402
from realtime_gateway.resource.limits import Limits, MessageRate, UserLimits  # noqa: E402
from realtime_gateway.routing import gateway_application  # noqa: E402


class User:
    """Somebody of whom the token says all."""

    is_authenticated = True
    is_active = True

    def __init__(self, name: str) -> None:
        self.pk = name


def user_of(claims: Mapping[str, Any]) -> User:
    return User(claims["sub"])


class Own(AsyncJsonWebsocketConsumer):
    """What one says comes back, through a group that nobody else is in; one in a second is what each may say."""

    async def connect(self) -> None:
        self.group = f"group-of-{self.scope['user'].pk}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def receive_json(self, content: Any, **more: Any) -> None:
        await self.channel_layer.group_send(self.group, {"type": "said", "text": content})

    async def said(self, event: dict[str, Any]) -> None:
        await self.send_json(event["text"])


application = gateway_application(
    [path("own/", Own.as_asgi())],
    limits=Limits(
        per_user=UserLimits(messages=MessageRate(per_second=1, policy="close"), connections_per_minute=2),
    ),
)
