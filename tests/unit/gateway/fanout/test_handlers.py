"""@fanout marks classmethods; on an instance they are handlers like any other, on any server and layer."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels.testing import WebsocketCommunicator

from realtime_gateway.consumers import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
    fanout,
)
from realtime_gateway.fanout.handlers import FanOutHandler
from realtime_gateway.telemetry import recorder

Event = dict[str, Any]


class Text(AsyncWebsocketConsumer):
    groups = ["room"]

    @fanout
    @classmethod
    def said(cls, event: Event) -> Any:
        return event["content"]

    @fanout(exclude="sender")
    @classmethod
    async def said_to_others(cls, event: Event) -> str:
        return str(event["content"])

    @fanout
    @classmethod
    def broken(cls, event: Event) -> str:
        raise LookupError("there is no such order")


class Json(AsyncJsonWebsocketConsumer):
    groups = ["room"]

    @fanout
    @classmethod
    def said(cls, event: Event) -> Any:
        return event["content"]


class Blocking(WebsocketConsumer):
    groups = ["room"]

    @fanout
    @classmethod
    def said(cls, event: Event) -> Any:
        return event["content"]

    @fanout(exclude="sender")
    @classmethod
    async def said_to_others(cls, event: Event) -> str:
        return str(event["content"])

    @fanout
    @classmethod
    def broken(cls, event: Event) -> str:
        raise LookupError("there is no such order")


class BlockingJson(JsonWebsocketConsumer):
    groups = ["room"]

    @fanout
    @classmethod
    def said(cls, event: Event) -> Any:
        return event["content"]


async def what_comes(consumer: type[Any], *events: Event) -> list[Any]:
    """What a client gets for events to its group, and after them for one that says end."""
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await communicator.connect())[0]
    layer = get_channel_layer()
    assert isinstance(layer, InMemoryChannelLayer)
    for event in (*events, {"type": "said", "content": b"end"}):
        await layer.group_send("room", event)
    frames: list[Any] = []
    while (frame := await communicator.receive_from()) != b"end":
        frames.append(frame)
    await communicator.disconnect()
    return frames


@pytest.mark.parametrize("consumer", [Text, Json, Blocking, BlockingJson])
async def test_text_and_bytes_are_sent_as_they_are_and_none_sends_nothing(consumer: type[Any]) -> None:
    contents = ["hello ☕", b"\x00\xff", "", None]
    events: list[Event] = [{"type": "said", "content": content} for content in contents]
    assert await what_comes(consumer, *events) == ["hello ☕", b"\x00\xff", ""]


@pytest.mark.parametrize("consumer", [Json, BlockingJson])
async def test_other_content_goes_through_encode_json(consumer: type[Any]) -> None:
    assert await what_comes(consumer, {"type": "said", "content": {"a": [1]}}) == [json.dumps({"a": [1]})]


@pytest.mark.parametrize("consumer", [Text, Blocking])
async def test_content_without_encode_json_is_logged_and_closes_nothing(
    consumer: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert await what_comes(consumer, {"type": "said", "content": {"a": 1}}) == []
    assert "has no encode_json" in caplog.text


@pytest.mark.parametrize("consumer", [Text, Blocking])
async def test_a_handler_that_raises_is_logged_and_counted_and_closes_nothing(
    consumer: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = sum(recorder.fan_out_errors.values.values())
    with caplog.at_level(logging.ERROR, "realtime_gateway.fanout"):
        assert await what_comes(consumer, {"type": "broken"}) == []
    assert "there is no such order" in caplog.text
    assert sum(recorder.fan_out_errors.values.values()) == before + 1


@pytest.mark.parametrize("consumer", [Text, Blocking])
async def test_text_that_utf8_cannot_say_is_logged_and_closes_nothing(
    consumer: type[Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert await what_comes(consumer, {"type": "said", "content": "half a pair \ud800"}) == []
    assert "surrogates not allowed" in caplog.text


@pytest.mark.parametrize("consumer", [Text, Blocking])
async def test_only_a_channel_can_be_left_out(consumer: type[Any]) -> None:
    assert await what_comes(consumer, {"type": "said.to.others", "content": "a", "sender": ["no", "name"]}) == ["a"]


@pytest.mark.parametrize("consumer", [Text, Blocking])
async def test_an_async_handler_renders_and_the_one_that_is_named_is_left_out(consumer: type[Any]) -> None:
    frames = await what_comes(
        consumer,
        {"type": "said.to.others", "content": "for all", "sender": "somebody else"},
        {"type": "said.to.others", "content": "for none", "sender": None},
    )
    assert frames == ["for all", "for none"]
    communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
    assert (await communicator.connect())[0]
    layer = get_channel_layer()
    assert layer is not None
    (channel,) = layer.groups["room"]
    await layer.group_send("room", {"type": "said.to.others", "content": "for others", "sender": channel})
    await layer.group_send("room", {"type": "said", "content": "for all"})
    assert await communicator.receive_from() == "for all"
    await communicator.disconnect()


def test_looked_up_on_the_class_it_renders() -> None:
    assert Text.said({"content": "hello"}) == "hello"


def test_a_method_with_self_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="no self whose socket or user"):

        class Wrong(AsyncWebsocketConsumer):
            @fanout  # it is the mistake that is tested
            def said(self, event: Event) -> str:
                return ""


@pytest.mark.parametrize("exclude", [None, "sender"])
def test_the_marks_in_the_wrong_order_are_refused_with_the_right_order(exclude: str | None) -> None:
    mark = fanout if exclude is None else fanout(exclude=exclude)
    with pytest.raises(TypeError, match="@fanout above @classmethod"):
        classmethod(mark(lambda cls, event: ""))


async def test_a_subclass_may_override_it_with_an_ordinary_handler_and_call_super() -> None:
    class Counting(Text):
        async def said(self, event: Event) -> None:
            await super().said({"content": event["content"] * 2})

    class Shouting(Text):
        @fanout
        @classmethod
        def said(cls, event: Event) -> Any:
            return super().said(event).upper()

    assert isinstance(vars(Shouting)["said"], FanOutHandler)
    for consumer, expected in ((Counting, "hihi"), (Shouting, "HI")):
        communicator = WebsocketCommunicator(consumer.as_asgi(), "/")
        assert (await communicator.connect())[0]
        layer = get_channel_layer()
        assert layer is not None
        await layer.group_send("room", {"type": "said", "content": "hi"})
        assert await communicator.receive_from() == expected
        await communicator.disconnect()
