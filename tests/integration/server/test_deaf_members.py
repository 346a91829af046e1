"""A member of a room that reads nothing: it is sent away, and the others get every message."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.integration.server.test_deaf_clients import MAY_RISE_BYTES, MIB, deaf
from tests.integration.server.test_websocket import handshake_request
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import ClientConnection, connect

from realtime_gateway.layer import RedisChannelLayer

MEMBERS = 5
AT_ONCE = 50  # messages on their way, so that none is dropped for want of capacity
SECONDS = 30
# Far more than all buffers between take of messages of 100 bytes.
MOST_ROUNDS = 4000


@pytest.fixture
def room(applications) -> Iterator[tuple[ServeProcess, RedisProcess]]:
    with RedisProcess() as redis:
        environment = {"REDIS_PORT": str(redis.port)}
        # Unread pings would end it first where the machine is slow.
        options = ("--send-queue-seconds", "1", "--ping-interval", "0")
        with ServeProcess("fanning:application", *options, directory=applications, environment=environment) as server:
            yield server, redis


async def heard(member: ClientConnection, count: int) -> list[str]:
    async with asyncio.timeout(SECONDS):
        return [str(await member.recv())[:10] for _ in range(count)]


@pytest.mark.timeout(300)
async def test_a_member_that_reads_nothing_is_closed_with_1013_and_the_others_miss_nothing(
    room: tuple[ServeProcess, RedisProcess],
) -> None:
    server, redis = room
    layer = RedisChannelLayer(hosts=[("127.0.0.1", redis.port)])
    members = [await connect(f"{server.websocket_url}/", proxy=None) for _ in range(MEMBERS)]
    sent = 0

    async def a_round() -> None:
        nonlocal sent
        numbers = [f"{number:010d}" for number in range(sent, sent + AT_ONCE)]
        for number in numbers:
            await layer.group_send("room", {"type": "said", "text": number + "x" * 90})
        assert all(got == numbers for got in await asyncio.gather(*(heard(member, AT_ONCE) for member in members)))
        sent += AT_ONCE

    try:
        for _ in range(20):  # warms up
            await a_round()
        before = highest = server.resident_bytes()
        with deaf(server.port, handshake_request("/")) as client:
            assert client.recv(12) == b"HTTP/1.1 101"
            for _ in range(MOST_ROUNDS):
                await a_round()
                highest = max(highest, server.resident_bytes())
                if "disconnect" in server.output:
                    break
        assert "disconnect 1013\n" in server.output
        assert server.output.count("disconnect") == 1
        assert highest - before <= MAY_RISE_BYTES, f"{(highest - before) / MIB:.1f} MiB"
    finally:
        for member in members:
            await member.close()
        await layer.close()
