"""The consumer, as people write it after reading the tutorial; and the same with our import and ``@fanout``."""

import json

from channels.generic.websocket import AsyncWebsocketConsumer

from realtime_gateway.consumers import AsyncWebsocketConsumer as OurConsumer
from realtime_gateway.consumers import fanout


class ChatConsumer(AsyncWebsocketConsumer):
    async def connect(self):
        self.group = "chat_" + self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.accept()

    async def disconnect(self, code):
        await self.channel_layer.group_discard(self.group, self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        message = json.loads(text_data)["message"]
        await self.channel_layer.group_send(self.group, {"type": "chat.message", "message": message})

    async def chat_message(self, event):
        await self.send(text_data=json.dumps({"message": event["message"]}))


class FastChatConsumer(OurConsumer):
    connect = ChatConsumer.connect
    disconnect = ChatConsumer.disconnect
    receive = ChatConsumer.receive

    @fanout
    @classmethod
    def chat_message(cls, event):
        return json.dumps({"message": event["message"]})


class EchoConsumer(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await self.send(text_data=text_data)
