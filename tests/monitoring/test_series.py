"""However many groups and users there are, the metrics page of a real gateway has as many lines."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

from websockets.asyncio.client import ClientConnection, connect

from tests.monitoring.conftest import gateway
from tests.monitoring.load import ORIGIN
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess

GROUPS = 10_000
# Each has a channel, a port and an address of its own, as far as the gateway knows.
CLIENTS = 100
PUBLISHED = 'realtime_gateway_layer_published_total{kind="group"}'


def series(it: ServeProcess) -> set[str]:
    """The names and labels on the page, without their values."""
    return {line.rsplit(" ", 1)[0] for line in it.admin("metrics")[1].splitlines() if not line.startswith("#")}


async def test_ten_thousand_groups_add_no_series_to_the_page() -> None:
    with RedisProcess() as shard, gateway([shard.url]) as it:
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(client(it))
            await say(first, "room0")
            assert json.loads(await first.recv()) == {"message": "hello"}
            # The last to come: after the first heartbeat.
            await asyncio.to_thread(
                it.wait_until, lambda: "layer_clock_error_seconds{" in it.admin("metrics")[1], "looked at", 20
            )
            before = series(it)
            clients = [await stack.enter_async_context(client(it)) for _ in range(CLIENTS)]
            for number in range(GROUPS):
                await say(clients[number % CLIENTS], f"user_{number}")
            await asyncio.to_thread(it.wait_until, lambda: it.metric(PUBLISHED) >= GROUPS, "published", 60)
            assert series(it) == before


def client(it: ServeProcess) -> connect:
    return connect(it.websocket_url + "/room/", additional_headers={"Origin": ORIGIN}, proxy=None)


async def say(one: ClientConnection, to: str) -> None:
    await one.send(json.dumps({"to": to, "text": "hello"}))
