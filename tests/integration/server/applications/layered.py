"""Answers whether the channel layer's modules are there, without having used it."""

import sys

from django.conf import settings

LAYER = {"BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {}}
settings.configure(SECRET_KEY="for a test", CHANNEL_LAYERS={"default": LAYER})


async def application(scope, receive, send):
    assert scope["type"] == "http"
    body = b"there" if "realtime_gateway.layer.channel_layer" in sys.modules else b"missing"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
