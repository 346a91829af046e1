"""Our consumers run as Channels' do, and tell the layer when they end."""

from __future__ import annotations

import hashlib
import inspect
from typing import Any

import channels.consumer
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer as ChannelsConsumer
from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator

from realtime_gateway.consumers import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer, fanout
from realtime_gateway.consumers.running import fan_out_class

# SHA-256 of AsyncConsumer.__call__, which RunsHere.__call__ stands for, in Channels 4.3.0, 4.3.1 and 4.3.2.
KNOWN_CALL = "e52238720872dbc3f854519bc971aa7eb41553e63c8729081549ce42465ee419"

Event = dict[str, Any]


class LayerWithMore(InMemoryChannelLayer):  # type: ignore[misc]  # Channels has no types
    """The in-memory layer with two of the abilities that ours has: it forgets, and it has notices."""

    on_disconnect = "layer.lost"
    on_reconnect = "layer.found"

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[str] = []

    async def forget(self, channel: str) -> None:
        self.forgotten.append(channel)


@pytest.fixture
def layer(monkeypatch: pytest.MonkeyPatch) -> LayerWithMore:
    made = LayerWithMore()
    monkeypatch.setattr(channels.consumer, "get_channel_layer", lambda alias: made)
    return made


class Plain(AsyncWebsocketConsumer):
    groups = ["room"]

    async def said(self, event: Event) -> None:
        await self.send(text_data=event["text"])


class Threaded(WebsocketConsumer):
    groups = ["room"]

    def said(self, event: Event) -> None:
        self.send(text_data=event["text"])


class Listening(Plain):
    async def layer_lost(self, event: Event) -> None:
        await self.send(text_data="lost")


def test_channels_starts_a_consumer_as_it_did_when_ours_was_written() -> None:
    source = inspect.getsource(channels.consumer.AsyncConsumer.__call__)
    assert hashlib.sha256(source.encode()).hexdigest() == KNOWN_CALL


@pytest.mark.parametrize("consumer", [Plain, Threaded])
async def test_a_consumer_that_ends_is_forgotten(layer: LayerWithMore, consumer: type[Any]) -> None:
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    (channel,) = layer.groups["room"]
    await client.disconnect()
    assert layer.forgotten == [channel]


@pytest.mark.parametrize("consumer", [Plain, Threaded])
async def test_a_notice_of_the_layer_needs_no_handler(layer: LayerWithMore, consumer: type[Any]) -> None:
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    for kind in ("layer.lost", "layer.found"):
        await layer.group_send("room", {"type": kind})
    await layer.group_send("room", {"type": "said", "text": "still here"})
    assert await client.receive_from() == "still here"
    await client.disconnect()


async def test_a_notice_reaches_a_class_that_has_a_handler(layer: LayerWithMore) -> None:
    client = WebsocketCommunicator(Listening.as_asgi(), "/")
    assert (await client.connect())[0]
    await layer.group_send("room", {"type": "layer.lost"})
    assert await client.receive_from() == "lost"
    await client.disconnect()


@pytest.mark.parametrize("consumer", [Plain, Threaded])
async def test_another_message_without_a_handler_is_the_error_that_it_is_in_channels(
    layer: LayerWithMore, consumer: type[Any]
) -> None:
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    await layer.group_send("room", {"type": "unheard.of"})
    with pytest.raises(ValueError, match=r"No handler for message type unheard\.of"):
        await client.receive_from()


@pytest.mark.parametrize("consumer", [ChannelsConsumer, AsyncWebsocketConsumer])
async def test_a_consumer_works_without_a_channel_layer(monkeypatch: pytest.MonkeyPatch, consumer: type[Any]) -> None:
    monkeypatch.setattr(channels.consumer, "get_channel_layer", lambda alias: None)
    client = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await client.connect())[0]
    await client.disconnect()


class Fast(AsyncJsonWebsocketConsumer):
    @fanout
    @classmethod
    def said(cls, event: Event) -> Any:
        return event["text"]


class Sends(Fast):
    async def send(self, *arguments: Any, **named: Any) -> None:
        await super().send(*arguments, **named)


class SendsJson(Fast):
    async def send_json(self, content: Any, close: bool | int = False) -> None:
        await super().send_json(content, close)


class Dispatches(Fast):
    async def dispatch(self, message: Event) -> None:
        await super().dispatch(message)


class Unmarked(Fast):
    async def said(self, event: Event) -> None:
        """An ordinary handler again."""


class Encodes(Fast):
    @classmethod
    async def encode_json(cls, content: Any) -> str:
        return f"<{content}>"


def test_a_class_that_overrides_what_sends_or_dispatches_is_no_fan_out_class() -> None:
    members = {consumer for consumer in (Fast, Encodes) if fan_out_class(consumer) is not None}
    others = {one for one in (Plain, Sends, SendsJson, Dispatches, Unmarked) if fan_out_class(one) is None}
    assert members == {Fast, Encodes}
    assert others == {Plain, Sends, SendsJson, Dispatches, Unmarked}
