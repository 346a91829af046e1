"""One body runs the example's consumers over four channel layers and under four servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.example_project import OURS, ExampleProject, Visitor, serving_process, visiting
from tests.support.rabbitmq_process import RabbitmqProcess, rabbitmq_programs
from tests.support.redis_process import RedisProcess
from tests.support.server_process import ServerProcess
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

SECONDS = 15


@pytest.fixture(scope="module")
def cache() -> Iterator[RedisProcess]:
    with RedisProcess() as redis:
        yield redis


@pytest.fixture(scope="module")
def shards() -> Iterator[list[str]]:
    with RedisProcess() as first, RedisProcess() as second:
        yield [first.url, second.url]


@pytest.fixture(scope="module")
def rabbitmq() -> Iterator[str]:
    if rabbitmq_programs() is None:
        pytest.skip("rabbitmq-server is not installed (Debian package rabbitmq-server)")
    with RabbitmqProcess() as broker:
        yield broker.url


async def heard(client: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        content: dict[str, Any] = json.loads(await client.recv())
        return content


async def check_rooms(visitor: Visitor) -> None:
    async with (
        visitor.websocket("/ws/chat/tea/") as one,
        visitor.websocket("/ws/chat/tea/") as two,
        visitor.websocket("/ws/fast/tea/") as fast,
        visitor.websocket("/ws/fast/coffee/") as stranger,
    ):
        for number in range(5):
            await one.send(json.dumps({"message": f"hello {number} ☕"}))
        for client in (one, two, fast):
            assert [(await heard(client))["message"] for _ in range(5)] == [f"hello {number} ☕" for number in range(5)]
        await stranger.send(json.dumps({"message": "mine only"}))
        assert await heard(stranger) == {"message": "mine only"}
        await fast.send(json.dumps({"message": "from the fast lane"}))
        for client in (one, two, fast):
            assert await heard(client) == {"message": "from the fast lane"}


async def check_bad_input(visitor: Visitor) -> None:
    for text in ("no JSON", "[]", "{}", '{"message": 5}', '{"message": {"type": "x"}}', "[" * 100_000):
        async with visitor.websocket("/ws/chat/tea/") as client:
            await client.send(text)
            async with asyncio.timeout(SECONDS):
                with pytest.raises(ConnectionClosed):
                    await client.recv()
            assert client.close_code == 4400, text[:40]


async def check_echo(visitor: Visitor) -> None:
    async with visitor.websocket("/ws/echo/") as client:
        for frame in ("text", b"\x00\xff", b"x" * 70_000):
            await client.send(frame)
            async with asyncio.timeout(SECONDS):
                assert await client.recv() == frame


async def check_visits(visitor: Visitor) -> None:
    async with visitor.websocket("/ws/visits/") as early:
        first = (await heard(early))["visits_today"]
        async with visitor.websocket("/ws/visits/") as late:
            assert await heard(late) == {"visits_today": first + 1}
            assert await heard(early) == {"visits_today": first + 1}


async def check_notifications(visitor: Visitor) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        async with visitor.websocket("/ws/notifications/"):
            pass
    await visitor.log_in("demo", "demo")
    async with visitor.websocket("/ws/notifications/") as client:
        await visitor.post("/", "/orders/")
        content = await heard(client)
    assert (content["kind"], content["status"]) == ("order", "Placed")


async def check_receipt(visitor: Visitor) -> None:
    async with visitor.websocket("/ws/notifications/") as client:
        await visitor.post("/", "/orders/1/receipt/")
        assert (await heard(client))["text"] == "Receipt: A blue teapot, 24.00 €, for demo"


async def check_everything(url: str, *, workers: bool) -> None:
    async with visiting(url) as visitor:
        await check_rooms(visitor)
        await check_bad_input(visitor)
        await check_echo(visitor)
        await check_visits(visitor)
        await check_notifications(visitor)
        if workers:
            await check_receipt(visitor)


@contextmanager
def worker(project: ExampleProject, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    process = project.worker("receipts")
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize("backend", ["ours", "memory", "channels_redis", "channels_rabbitmq"])
async def test_over_each_channel_layer(
    backend: str, tmp_path: Path, cache: RedisProcess, request: pytest.FixtureRequest
) -> None:
    layer: dict[str, Any]
    match backend:
        case "ours":
            layer = {"BACKEND": OURS, "CONFIG": {"hosts": request.getfixturevalue("shards")}}
        case "channels_redis":
            shards = request.getfixturevalue("shards")
            layer = {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": shards[:1]}}
        case "channels_rabbitmq":
            host = request.getfixturevalue("rabbitmq")
            layer = {"BACKEND": "channels_rabbitmq.core.RabbitmqChannelLayer", "CONFIG": {"host": host}}
        case _:
            layer = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    # Only these two carry normal channels from one process to another.
    workers = backend in {"ours", "channels_redis"}
    project = ExampleProject(tmp_path, layer, {"CACHE_URL": cache.url})
    with worker(project, wanted=workers), project.server("daphne") as server:
        await check_everything(server.url, workers=workers)


@pytest.mark.parametrize("server_name", ["serve", "uvicorn"])
async def test_under_each_server(server_name: str, tmp_path: Path, cache: RedisProcess, shards: list[str]) -> None:
    layer = {"BACKEND": OURS, "CONFIG": {"hosts": shards}}
    project = ExampleProject(tmp_path, layer, {"CACHE_URL": cache.url})
    with worker(project, wanted=True), project.server(server_name) as server:
        await check_everything(server.url, workers=True)


async def test_under_gunicorn_with_two_preloaded_workers(
    tmp_path: Path, cache: RedisProcess, shards: list[str]
) -> None:
    layer = {"BACKEND": OURS, "CONFIG": {"hosts": shards}}
    project = ExampleProject(tmp_path, layer, {"CACHE_URL": cache.url})
    with worker(project, wanted=True), project.server("gunicorn") as server:
        await check_everything(server.url, workers=True)
        await check_rooms_across_processes(server)


async def check_rooms_across_processes(server: ServerProcess) -> None:
    async with visiting(server.url) as visitor, AsyncExitStack() as stack:
        clients: dict[int, ClientConnection] = {}
        for _ in range(100):
            if len(clients) == 2:
                break
            client = await stack.enter_async_context(visitor.websocket("/ws/chat/both/"))
            clients.setdefault(serving_process(server, client), client)
        assert len(clients) == 2, "all connections went to one worker"
        one, two = clients.values()
        await one.send(json.dumps({"message": "to the other process"}))
        assert await heard(two) == {"message": "to the other process"}
        await two.send(json.dumps({"message": "and back"}))
        assert await heard(one) == {"message": "to the other process"}
        assert await heard(one) == {"message": "and back"}
