"""Members of a room over Redis, each message rendered once for all of them."""

import os

import conversations
from django.conf import settings

LAYER = "realtime_gateway.layer.RedisChannelLayer"
HOSTS = [("127.0.0.1", int(os.environ["REDIS_PORT"]))]
settings.configure(SECRET_KEY="for a test", CHANNEL_LAYERS={"default": {"BACKEND": LAYER, "CONFIG": {"hosts": HOSTS}}})

from realtime_gateway.consumers import AsyncWebsocketConsumer, fanout  # noqa: E402  # Django must be set up first


class Member(AsyncWebsocketConsumer):
    async def connect(self):
        await self.channel_layer.group_add("room", self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard("room", self.channel_name)
        print("disconnect", code, flush=True)

    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)

    @fanout
    @classmethod
    def said(cls, event):
        return event["text"]


member = Member.as_asgi()


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")
    if scope["type"] == "http":
        is_look = scope["path"] == "/objects"
        answer = conversations.http_objects if is_look else conversations.http_uncollected
        await answer(scope, receive, send, {})
    else:
        await member(scope, receive, send)
