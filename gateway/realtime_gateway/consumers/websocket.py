"""Channels' four WebSocket consumers, with the same methods; change one import.

What is different: ``@fanout`` handlers are rendered once for all members; a consumer that ends leaves nothing behind in
the channel layer; what the layer says to everybody (``on_disconnect``, ``on_reconnect``) is nothing that every class
needs a handler for; and synchronous consumers run in several threads, each in one of them.
"""

from __future__ import annotations

from channels.generic import websocket

from realtime_gateway.consumers.running import Message, RunsHere, RunsInLane


class AsyncWebsocketConsumer(RunsHere, websocket.AsyncWebsocketConsumer):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Channels' ``AsyncWebsocketConsumer``."""

    async def dispatch(self, message: Message) -> None:
        """Hand a message to its handler."""
        if not self._is_notice_for_others(message):
            await super().dispatch(message)


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer, websocket.AsyncJsonWebsocketConsumer):
    """Channels' ``AsyncJsonWebsocketConsumer``."""


class WebsocketConsumer(RunsInLane, websocket.WebsocketConsumer):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Channels' ``WebsocketConsumer``."""

    async def dispatch(self, message: Message) -> None:
        """Hand a message to its handler, in this consumer's thread."""
        if not self._is_notice_for_others(message):
            await self._handle_in_lane(message)


class JsonWebsocketConsumer(WebsocketConsumer, websocket.JsonWebsocketConsumer):
    """Channels' ``JsonWebsocketConsumer``."""
