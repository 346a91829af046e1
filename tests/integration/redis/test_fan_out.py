"""Whatever way a message takes to a member, the member gets what serial dispatch would have sent it, in that order."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from unittest.mock import patch

import channels.consumer
import pytest
from channels.generic.websocket import AsyncWebsocketConsumer as ChannelsConsumer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.consumers import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    fanout,
)
from realtime_gateway.consumers.running import OUTBOX
from realtime_gateway.fanout.batch import Outbox
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.telemetry import recorder

SECONDS = 20
GROUPS = ("tea", "coffee")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        yield server


class Member:
    """What all members do: join both rooms, and answer their client slowly."""

    groups = list(GROUPS)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        await self.send(text_data=json.dumps(f"echo {text_data}"))  # type: ignore[attr-defined]  # of a consumer

    async def told(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event["text"]))  # type: ignore[attr-defined]  # of a consumer


class Ordinary(Member, ChannelsConsumer):  # type: ignore[misc]  # Channels has no types
    """Dispatches serially, as the measure."""

    async def said(self, event: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(event["text"]))

    said_slowly = said

    async def said_to_others(self, event: dict[str, Any]) -> None:
        if event["sender"] != self.channel_name:
            await self.said(event)

    async def nothing(self, event: dict[str, Any]) -> None:
        pass

    broken = unsayable = nothing


class Fast(Member, AsyncWebsocketConsumer):  # type: ignore[misc]  # the two differ in nothing but types
    """Renders text."""

    @fanout
    @classmethod
    def said(cls, event: dict[str, Any]) -> str:
        return json.dumps(event.pop("text"))  # nobody else's event

    @fanout
    @classmethod
    async def said_slowly(cls, event: dict[str, Any]) -> str:
        await asyncio.sleep(0.001)
        return json.dumps(event["text"])

    @fanout(exclude="sender")
    @classmethod
    def said_to_others(cls, event: dict[str, Any]) -> bytes:
        return json.dumps(event["text"]).encode()

    @fanout
    @classmethod
    def nothing(cls, event: dict[str, Any]) -> None:
        return None

    @fanout
    @classmethod
    def broken(cls, event: dict[str, Any]) -> str:
        raise LookupError("no such thing")

    @fanout
    @classmethod
    def unsayable(cls, event: dict[str, Any]) -> str:
        return "half a pair \ud800"  # as json.loads makes it of what a client sends


class FastJson(Fast, AsyncJsonWebsocketConsumer):
    """Renders content, and one kind of message by an ordinary handler."""

    receive = Member.receive

    @fanout
    @classmethod
    def said(cls, event: dict[str, Any]) -> Any:
        return {"text": event["text"]}

    async def said_to_others(self, event: dict[str, Any]) -> None:  # type: ignore[override]
        if event["sender"] != self.channel_name:
            await self.send_json({"text": event["text"]})


class Synchronous(JsonWebsocketConsumer):
    """The same in a thread."""

    groups = list(GROUPS)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None, **kwargs: Any) -> None:
        self.send_json(f"echo {text_data}")

    def told(self, event: dict[str, Any]) -> None:
        self.send_json({"text": event["text"]})

    @fanout
    @classmethod
    def said(cls, event: dict[str, Any]) -> Any:
        return {"text": event["text"]}

    said_slowly = said

    @fanout(exclude="sender")
    @classmethod
    def said_to_others(cls, event: dict[str, Any]) -> Any:
        return {"text": event["text"]}

    @fanout
    @classmethod
    def nothing(cls, event: dict[str, Any]) -> None:
        return None

    broken = unsayable = nothing


class Socket(Outbox):
    """A client, its server and its outbox, with all that was written in one list. Frames end with a line break."""

    encoding = "lines"

    def __init__(self, consumer: type[Any], layer: RedisChannelLayer) -> None:
        self.frames: list[str] = []
        self.refuses = False
        self.direct = 0
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.accepted = asyncio.Event()
        self.consumer = consumer()
        self.inbox.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/", "extensions": {OUTBOX: self}}
        self.task = asyncio.get_running_loop().create_task(self.consumer(scope, self.inbox.get, self.send))

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.accept":
            self.accepted.set()
        else:
            self.frames.append(message.get("text") or message["bytes"].decode())
            await asyncio.sleep(0)

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        return payload + b"\n"

    def write(self, frames: bytes) -> bool:
        if self.refuses:
            return False
        self.direct += 1
        self.frames += frames.decode().splitlines()
        return True

    @property
    def heard(self) -> list[str]:
        """What others have said to it."""
        contents = [json.loads(frame) for frame in self.frames]
        texts: list[str] = [content["text"] if isinstance(content, dict) else content for content in contents]
        return [text for text in texts if not text.startswith("echo")]

    async def end(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(SECONDS):
            await self.task


KINDS = ("said", "said.slowly", "said.to.others", "nothing", "broken", "unsayable")
CLASSES = (Ordinary, Fast, Fast, FastJson, Synchronous)
MEMBERS = some.integers(0, len(CLASSES) - 1)
STEPS = some.lists(
    some.one_of(
        some.tuples(some.just("group"), some.sampled_from(GROUPS), some.sampled_from(KINDS), MEMBERS),
        some.tuples(some.just("direct"), MEMBERS),
        some.tuples(some.just("client"), MEMBERS),
        some.tuples(some.just("refuse"), MEMBERS, some.booleans()),
        some.tuples(some.just("turns"), some.integers(1, 4)),
        some.just(("all arrive",)),
    ),
    max_size=30,
)


class Play:
    """Sends what the steps say, and knows what each member and the worker are to hear from each destination."""

    def __init__(self, layer: RedisChannelLayer, sockets: list[Socket]) -> None:
        self.layer = layer
        self.sockets = sockets
        self.number = 0
        self.sends: list[asyncio.Task[None]] = []
        self.due: list[list[str]] = [[] for _ in sockets]
        self.worker_due: list[str] = []

    async def step(self, step: tuple[Any, ...]) -> None:
        self.number += 1
        match step:
            case ("group", group, kind, sender):
                self.to_group(group, kind, sender)
            case ("direct", member):
                text = f"direct {self.number}"
                self.due[member].append(text)
                channel = self.sockets[member].consumer.channel_name
                self.send(self.layer.send(channel, {"type": "told", "text": text}))
            case ("client", member):
                self.sockets[member].inbox.put_nowait({"type": "websocket.receive", "text": "hello"})
            case ("refuse", member, refuses):
                self.sockets[member].refuses = refuses
            case ("turns", count):
                for _ in range(count):
                    await asyncio.sleep(0)
            case _:
                await asyncio.gather(*self.sends)

    def to_group(self, group: str, kind: str, sender: int) -> None:
        text = f"{group} {self.number}"
        for index, due in enumerate(self.due):
            if kind.startswith("said") and not (kind == "said.to.others" and index == sender):
                due.append(text)
        self.worker_due.append(text)
        channel = self.sockets[sender].consumer.channel_name
        self.send(self.layer.group_send(group, {"type": kind, "text": text, "sender": channel}))

    def send(self, coroutine: Any) -> None:
        self.sends.append(asyncio.get_running_loop().create_task(coroutine))


def by_destination(texts: list[str]) -> dict[str, list[str]]:
    return {one: [text for text in texts if text.startswith(one)] for one in (*GROUPS, "direct")}


async def play(url: str, steps: list[tuple[Any, ...]], classes: Sequence[type[Any]] = CLASSES) -> list[Socket]:
    layer = RedisChannelLayer(hosts=[url], prefix=f"fan-out-{uuid.uuid4().hex}")
    patched, channels.consumer.get_channel_layer = channels.consumer.get_channel_layer, lambda alias: layer
    sockets = [Socket(consumer, layer) for consumer in classes]
    try:
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(socket.accepted.wait() for socket in sockets))
            for group in GROUPS:
                await layer.group_add(group, "worker")
            played = Play(layer, sockets)
            for step in steps:
                await played.step(step)
            await asyncio.gather(*played.sends)
            worker = [(await layer.receive("worker"))["text"] for _ in played.worker_due]
            while any(len(socket.heard) < len(due) for socket, due in zip(sockets, played.due, strict=True)):
                await asyncio.sleep(0.001)
        assert by_destination(worker) == by_destination(played.worker_due)
        for socket, due in zip(sockets, played.due, strict=True):
            assert by_destination(socket.heard) == by_destination(due), type(socket.consumer).__name__
        return sockets
    finally:
        await asyncio.gather(*(socket.end() for socket in sockets))
        channels.consumer.get_channel_layer = patched
        await layer.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_every_member_of_a_mixed_group_gets_what_serial_dispatch_sends_in_that_order(
    redis_server: RedisProcess, steps: list[tuple[Any, ...]]
) -> None:
    asyncio.run(play(redis_server.url, steps))


async def test_members_with_nothing_before_it_get_a_message_at_once_and_others_through_their_mailboxes(
    redis_server: RedisProcess,
) -> None:
    steps: list[tuple[Any, ...]] = [("refuse", 1, True), *[("group", "tea", "said", 0)] * 3]
    ordinary, refusing, fast, fast_json, synchronous = await play(redis_server.url, steps)
    assert (ordinary.direct, refusing.direct) == (0, 0)
    assert fast.direct >= 1
    assert fast_json.direct >= 1
    assert synchronous.direct >= 1


async def test_the_messages_of_one_turn_are_written_in_one_call(redis_server: RedisProcess) -> None:
    _, fast = await play(redis_server.url, [("group", "tea", "said", 0)] * 20, classes=(Ordinary, Fast))
    assert len(fast.heard) == 20
    assert fast.direct < 20


async def test_what_no_frame_can_say_keeps_nothing_else_back(redis_server: RedisProcess) -> None:
    odd = [("group", "tea", "unsayable", 0), ("group", "coffee", "said", 0), ("group", "tea", "said", 0)]
    await play(redis_server.url, odd * 3, classes=(Fast, Fast))


class Listener:
    """Stands where the fan-out stands, takes some of the channels, and remembers what it was offered."""

    def __init__(self, layer: RedisChannelLayer, takes: Callable[[str], bool]) -> None:
        self.takes = takes
        self.offers: list[int] = []
        self.taken: dict[str, list[int]] = {}
        layer.attach(self.deliver)

    def deliver(self, offer: Any, channels: Collection[str]) -> Collection[str]:
        self.offers.append(len(channels))
        number = offer.body.decode()["number"]
        for channel in channels:
            if self.takes(channel):
                self.taken.setdefault(channel, []).append(number)
        return [channel for channel in channels if not self.takes(channel)]


async def room(layer: RedisChannelLayer, name: str, members: int) -> list[str]:
    channels = [await layer.new_channel() for _ in range(members)]
    await asyncio.gather(*(layer.group_add(name, channel) for channel in channels))
    return channels


async def send_all(layer: RedisChannelLayer, *names: str) -> None:
    await asyncio.gather(
        *(layer.group_send(name, {"type": "n", "number": number}) for number in range(4) for name in names)
    )


async def test_a_room_of_some_hundred_is_offered_whole_and_one_of_more_in_slices(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[("127.0.0.1", redis_server.port)], prefix=uuid.uuid4().hex)
    listener = Listener(layer, lambda channel: True)
    channels = await room(layer, "room", 200)
    await send_all(layer, "room")
    await until(lambda: len(listener.taken) == 200 and all(len(numbers) == 4 for numbers in listener.taken.values()))
    assert listener.offers == [200] * 4, "what comes for the room in one turn is one write to each socket"
    assert all(listener.taken[channel] == [0, 1, 2, 3] for channel in channels)
    listener.offers.clear()
    listener.taken.clear()
    await room(layer, "hall", 300)
    await send_all(layer, "hall")
    await until(lambda: len(listener.taken) == 300 and all(len(numbers) == 4 for numbers in listener.taken.values()))
    assert max(listener.offers) == 64
    await layer.close()


async def test_members_that_the_fan_out_leaves_get_the_same_messages_in_order(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[("127.0.0.1", redis_server.port)], prefix=uuid.uuid4().hex, capacity=20)
    # In each room more than a slice are left, and the rooms together are more than one turn may offer.
    rooms = {name: await room(layer, name, 200) for name in ("a", "b")}
    left = {channel for channels in rooms.values() for channel in channels[:150]}
    listener = Listener(layer, lambda channel: channel not in left)
    await send_all(layer, "a", "b")
    async with asyncio.timeout(SECONDS):
        for channel in left:
            assert [(await layer.receive(channel))["number"] for _ in range(4)] == [0, 1, 2, 3]
    await until(lambda: len(listener.taken) == 100 and all(len(numbers) == 4 for numbers in listener.taken.values()))
    assert all(numbers == [0, 1, 2, 3] for numbers in listener.taken.values())
    await layer.close()


async def test_a_fan_out_that_fails_once_keeps_nothing_else_back(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[("127.0.0.1", redis_server.port)], prefix=uuid.uuid4().hex)
    listener, failures = Listener(layer, lambda channel: True), [RuntimeError("once")]
    deliver = listener.deliver

    def failing(offer: Any, channels: Collection[str]) -> Collection[str]:
        if failures:
            raise failures.pop()
        return deliver(offer, channels)

    layer.attach(failing)
    await room(layer, "hall", 300)
    await room(layer, "club", 300)
    await send_all(layer, "hall", "club")
    await until(lambda: sum(len(numbers) for numbers in listener.taken.values()) == 600 * 4 - 64)
    await layer.close()


class Refusing(Socket):
    """A socket whose encoding can say nothing."""

    encoding = "nothing"

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        raise ValueError("no such encoding")


async def test_an_encoding_that_fails_keeps_nothing_back_from_members_of_another(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url], prefix=uuid.uuid4().hex)
    before = sum(recorder.fan_out_errors.values.values())
    with patch("channels.consumer.get_channel_layer", lambda alias: layer):
        sockets = [Refusing(Fast, layer), Socket(Fast, layer), Refusing(Fast, layer)]
        await asyncio.gather(*(socket.accepted.wait() for socket in sockets))
        await layer.group_send("tea", {"type": "said", "text": "tea 1", "sender": ""})
        await until(lambda: sockets[1].heard == ["tea 1"])
        await asyncio.gather(*(socket.end() for socket in sockets))
    assert sum(recorder.fan_out_errors.values.values()) == before + 1
    await layer.close()
