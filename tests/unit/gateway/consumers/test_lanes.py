"""Synchronous consumers share some threads, and each keeps to one of them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from asgiref.sync import async_to_sync
from channels.testing import WebsocketCommunicator
from django.test import override_settings

from realtime_gateway.consumers import WebsocketConsumer
from realtime_gateway.consumers.lanes import Lanes

SECONDS = 20


class Blocking(WebsocketConsumer):
    """Says which thread it runs in, and stays there until it is let go when it is told to."""

    let_go = threading.Event()

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.send(text_data=threading.current_thread().name)
        if text_data == "block":
            assert self.let_go.wait(SECONDS)
            self.send(text_data="let go")


class Calling(WebsocketConsumer):
    """Calls the channel layer from its thread."""

    groups = ["calling"]

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        async_to_sync(self.channel_layer.group_send)("calling", {"type": "called", "text": text_data})

    def called(self, event: dict[str, Any]) -> None:
        self.send(text_data=event["text"])


async def opened(consumer: type[Any], count: int) -> list[WebsocketCommunicator]:
    clients = [WebsocketCommunicator(consumer.as_asgi(), "/") for _ in range(count)]
    for client in clients:
        assert (await client.connect())[0]
    return clients


async def closed(clients: list[WebsocketCommunicator]) -> None:
    for client in clients:
        await client.disconnect()


async def test_a_handler_that_blocks_delays_only_those_in_its_own_lane() -> None:
    Blocking.let_go.clear()
    with override_settings(REALTIME_GATEWAY={"THREADS": 2}):
        clients = await opened(Blocking, 4)
    try:
        names = []
        for client in clients:
            await client.send_to(text_data="where")
            names.append(await client.receive_from())
        assert len(set(names)) == 2
        await clients[0].send_to(text_data="block")
        assert await clients[0].receive_from() == names[0]
        for client, name in zip(clients, names, strict=True):
            if name != names[0]:
                await client.send_to(text_data="where")
                assert await client.receive_from() == name
        neighbour = names.index(names[0], 1)
        await clients[neighbour].send_to(text_data="where")
        assert await clients[neighbour].receive_nothing()
        Blocking.let_go.set()
        assert await clients[0].receive_from() == "let go"
        assert await clients[neighbour].receive_from() == names[0]
    finally:
        Blocking.let_go.set()
        await closed(clients)


async def test_a_handler_may_call_the_channel_layer() -> None:
    clients = await opened(Calling, 2)
    await clients[0].send_to(text_data="hello")
    assert [await client.receive_from() for client in clients] == ["hello", "hello"]
    await closed(clients)


async def test_a_new_consumer_takes_the_lane_that_has_the_fewest() -> None:
    lanes = Lanes()
    with override_settings(REALTIME_GATEWAY={"THREADS": 2}):
        first, second = lanes.enter(), lanes.enter()
        assert first is not second
        second.leave()
        assert lanes.enter() is second


async def test_a_childs_lanes_are_its_own_after_a_fork() -> None:
    lanes = Lanes()
    before = lanes.enter()
    lanes.after_fork_in_child()
    assert lanes.enter() is not before
    assert await asyncio.wait_for(lanes.render(threading.get_ident), SECONDS) != threading.get_ident()
