import json
import logging
from typing import Any

from asgiref.sync import async_to_sync
from channels.consumer import SyncConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
)
from django.core.cache import cache
from django.utils import timezone

from chat.models import Order
from chat.notifications import notify, user_group
from realtime_gateway import consumers as gateway

logger = logging.getLogger(__name__)


class ChatConsumer(AsyncWebsocketConsumer):
    """A room: what one socket says, all sockets in the room hear."""

    async def connect(self) -> None:
        self.group = f"chat_{self.scope['url_route']['kwargs']['room']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            message = json.loads(text_data or "")["message"]
        except (ValueError, KeyError, TypeError, RecursionError):  # the last: thousands of brackets in brackets
            message = None
        if not isinstance(message, str):
            await self.close(code=4400)
            return
        await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": message})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps({"message": event["message"]}))


class FastChatConsumer(gateway.AsyncWebsocketConsumer, ChatConsumer):
    """The same room, rendered once for all members in a process; `gateway`'s class stands first."""

    @gateway.fanout
    @classmethod
    def chat_message(cls, event: dict[str, Any]) -> str:
        return json.dumps({"message": event["message"]})


class EchoConsumer(AsyncWebsocketConsumer):
    """Sends back what it gets."""

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class NotificationConsumer(AsyncJsonWebsocketConsumer):
    """What a logged-in user should know now, on every page that the user has open."""

    async def connect(self) -> None:
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close()
            return
        # Channels leaves the groups named here when the socket ends.
        self.groups.append(user_group(user.pk))
        await self.channel_layer.group_add(user_group(user.pk), self.channel_name)
        await self.accept()

    async def notification(self, event: dict[str, Any]) -> None:
        await self.send_json({key: value for key, value in event.items() if key != "type"})


class VisitConsumer(JsonWebsocketConsumer):
    """Counts today's visits in Django's cache, and tells every open page; synchronous, so it may block."""

    groups = ["visits"]

    def connect(self) -> None:
        self.accept()
        key = f"visits:{timezone.localdate()}"
        cache.add(key, 0, timeout=2 * 24 * 60 * 60)
        event = {"type": "visits.changed", "visits_today": cache.incr(key)}
        async_to_sync(self.channel_layer.group_send)("visits", event)

    def visits_changed(self, event: dict[str, Any]) -> None:
        self.send_json({"visits_today": event["visits_today"]})


class ReceiptConsumer(SyncConsumer):
    """A worker: writes an order's receipt and tells the user."""

    def receipt_write(self, event: dict[str, Any]) -> None:
        order = Order.objects.filter(pk=event["order"]).first()
        if order is None:
            logger.error("No receipt: order %s is not in this process's database.", event["order"])
            return
        text = f"Receipt: {order.item}, {order.price} €, for {order.user.get_username()}"
        notify(order.user_id, kind="receipt", text=text, order=order.pk)
