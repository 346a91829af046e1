"""Channels' four WebSocket consumers, with the same methods; change one import.

What is different: ``@fanout`` handlers are rendered once for all members; a consumer that ends leaves nothing behind in
the channel layer; what the layer says to everybody (``on_disconnect``, ``on_reconnect``) is nothing that every class
needs a handler for; synchronous consumers run in several threads, each in one of them; and a handler that raises
``NotAllowed`` is answered, where in Channels the WebSocket would be gone.
"""

from __future__ import annotations

import json

from channels.generic import websocket

from realtime_gateway.consumers.permissions import Answer, answer_to
from realtime_gateway.consumers.running import Message, RunsHere, RunsInLane
from realtime_gateway.endings import FORBIDDEN
from realtime_gateway.security.permissions import NotAllowed


class AsyncWebsocketConsumer(RunsHere, websocket.AsyncWebsocketConsumer):
    """Channels' ``AsyncWebsocketConsumer``."""

    async def dispatch(self, message: Message) -> None:
        """Hand a message to its handler."""
        if self._is_notice_for_others(message):
            return
        try:
            await super().dispatch(message)
        except NotAllowed as refused:
            match answer_to(message.get("type"), refused, self.scope):
                case Answer.CLOSE:
                    await self.close(code=FORBIDDEN.code, reason=refused.reason.told)
                case Answer.TELL:
                    await self.not_allowed(refused)

    async def not_allowed(self, refused: NotAllowed) -> None:
        """Tell the client that it may not; override it to say so in your own words."""
        await self.send(text_data=json.dumps({"error": refused.reason.told}))


class AsyncJsonWebsocketConsumer(AsyncWebsocketConsumer, websocket.AsyncJsonWebsocketConsumer):
    """Channels' ``AsyncJsonWebsocketConsumer``."""

    async def not_allowed(self, refused: NotAllowed) -> None:
        """Tell the client that it may not, encoded as everything else."""
        await self.send_json({"error": refused.reason.told})


class WebsocketConsumer(RunsInLane, websocket.WebsocketConsumer):
    """Channels' ``WebsocketConsumer``."""

    async def dispatch(self, message: Message) -> None:
        """Hand a message to its handler, in this consumer's thread."""
        if not self._is_notice_for_others(message):
            await self._handle_in_lane(message)

    def _handle_message(self, message: Message) -> None:
        try:
            super()._handle_message(message)
        except NotAllowed as refused:
            match answer_to(message.get("type"), refused, self.scope):
                case Answer.CLOSE:
                    self.close(code=FORBIDDEN.code, reason=refused.reason.told)
                case Answer.TELL:
                    self.not_allowed(refused)

    def not_allowed(self, refused: NotAllowed) -> None:
        """Tell the client that it may not; override it to say so in your own words."""
        self.send(text_data=json.dumps({"error": refused.reason.told}))


class JsonWebsocketConsumer(WebsocketConsumer, websocket.JsonWebsocketConsumer):
    """Channels' ``JsonWebsocketConsumer``."""

    def not_allowed(self, refused: NotAllowed) -> None:
        """Tell the client that it may not, encoded as everything else."""
        self.send_json({"error": refused.reason.told})
