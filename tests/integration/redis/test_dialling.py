"""Dialling that is cancelled ends, also where the client library swallows the cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from redis.asyncio.connection import Connection
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.layer.shards.dialling import DialFailed, Target, dial
from realtime_gateway.layer.shards.sentinel_watch import SentinelWatch

LONG_SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


class Swallowing(Connection):
    """Connects when it is cancelled, as redis-py does in Python 3.11 when both happen in one turn of the loop."""

    def __init__(self, reached: asyncio.Event, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.reached = reached

    async def connect(self) -> None:
        self.reached.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await super().connect()


def swallowing(server: RedisProcess, reached: asyncio.Event) -> Target:
    return Target(Swallowing, {"host": "127.0.0.1", "port": server.port, "reached": reached})


def unheard(_: Any) -> None:
    raise AssertionError("nobody is connected")


async def test_a_cancellation_that_was_swallowed_ends_the_dialling(server: RedisProcess) -> None:
    reached = asyncio.Event()
    dialling = asyncio.create_task(dial(swallowing(server, reached), LONG_SECONDS, unheard, unheard))
    await reached.wait()
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert dialling.cancelled()


async def test_a_limit_whose_cancellation_was_swallowed_still_counts(server: RedisProcess) -> None:
    with pytest.raises(DialFailed, match=r"no connection within 0\.05 s"):
        await dial(swallowing(server, asyncio.Event()), 0.05, unheard, unheard)


async def test_a_watch_of_sentinels_ends_also_then(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = asyncio.Event()

    class SwallowingHere(Swallowing):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(reached, **arguments)

    monkeypatch.setattr("realtime_gateway.layer.shards.encrypted.Connection", SwallowingHere)
    with SentinelProcess({"chat": server}) as sentinel:
        watch = SentinelWatch([sentinel.address], dict, LONG_SECONDS, lambda name, address: None)
        await reached.wait()
        async with asyncio.timeout(LONG_SECONDS):
            ended = await asyncio.gather(*watch.cancel(), return_exceptions=True)
    assert [type(one) for one in ended] == [asyncio.CancelledError]
