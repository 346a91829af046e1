"""Buckets of tokens that processes share: over real servers that are killed, stand still and refuse."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from tests.integration.redis.test_hidden_names import SECRET, watched
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer, shared_limits
from realtime_gateway.layer.shared_limits import PROCESS, SHARD
from realtime_gateway.telemetry import recorder

Make = Callable[..., RedisChannelLayer]
HOUR = 1 / 3600
SLOW = (HOUR, 10)  # ten at once, and then none for as long as a test takes


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a busy machine may take its time."""
    monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 5.0)
    monkeypatch.setattr(shared_limits, "FIRST_SECONDS", 20.0)


def answered_by(who: str) -> float:
    return recorder.layer_limits.values[who]


async def is_shared(layer: RedisChannelLayer, key: str = "probe") -> bool:
    return (await layer.take_tokens(key, 1e6, 1e6)).shared


async def until_shared(layer: RedisChannelLayer) -> None:
    async with asyncio.timeout(20):
        while not await is_shared(layer):
            await asyncio.sleep(0.02)


async def test_processes_share_a_bucket(redis_server: RedisProcess, make_layer: Make) -> None:
    here, there = make_layer(redis_server.url), make_layer(redis_server.url)
    assert await here.take_tokens("shared", *SLOW, wanted=7) == (7, 0.0, True)
    granted, wait_seconds, shared = await there.take_tokens("shared", *SLOW, wanted=7)
    assert (granted, shared) == (3, True)
    assert 3500 < wait_seconds <= 3600
    assert (await here.take_tokens("shared", *SLOW)).granted == 0
    assert (await here.take_tokens("another", *SLOW)).granted == 1


async def test_layers_with_other_prefixes_have_buckets_of_their_own(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    here, there = make_layer(redis_server.url, prefix="one"), make_layer(redis_server.url, prefix="two")
    for layer in (here, there):
        assert (await layer.take_tokens("prefixed", *SLOW, wanted=10)).granted == 10


async def test_callers_of_one_turn_leave_together_and_get_no_token_twice(make_layer: Make) -> None:
    with RedisProcess() as server:
        layer = make_layer(server.url)
        await until_shared(layer)
        before = server.info("stats")["total_reads_processed"]
        taken = await asyncio.gather(*(layer.take_tokens("crowd", HOUR, 300) for _ in range(500)))
        assert sum(one.granted for one in taken) == 300
        assert server.info("stats")["total_reads_processed"] - before < 100


async def test_a_bucket_is_on_one_shard_and_expires(make_layer: Make) -> None:
    with RedisProcess() as one, RedisProcess() as other:
        layer = make_layer(one.url, other.url)
        for number in range(40):
            assert (await layer.take_tokens(f"user-{number}", 10, 10)).shared
        found = []
        for server in (one, other):
            with server.client as client:
                keys = client.keys("asgi:tokens:*")
                assert all(0 < client.pttl(key) <= 1000 or not client.exists(key) for key in keys)
                found.append(set(keys))
        assert not found[0] & found[1]
        with one.client as first, other.client as second:
            await until(lambda: not first.keys("asgi:tokens:*") and not second.keys("asgi:tokens:*"))


async def test_hidden_names_hide_whose_bucket_it_is(redis_server: RedisProcess, make_layer: Make) -> None:
    here, there = (make_layer(redis_server.url, hide_names=SECRET, prefix="hidden") for _ in range(2))
    with watched(redis_server) as seen:
        await here.take_tokens("patients.smith", *SLOW, wanted=4)
        assert (await there.take_tokens("patients.smith", *SLOW, wanted=10)).granted == 6
        await until(lambda: seen().count(b"hidden:tokens:") >= 2)
        assert b"smith" not in seen()


async def test_a_killed_shard_leaves_each_process_a_bucket_of_its_own_and_comes_back(
    make_layer: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisProcess() as server, caplog.at_level(logging.WARNING, "realtime_gateway.layer"):
        here, there = make_layer(server.url), make_layer(server.url)
        assert (await here.take_tokens("killed", *SLOW, wanted=10)).shared
        assert (await there.take_tokens("killed", *SLOW)).granted == 0
        monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 0.25)
        server.kill()
        before = answered_by(PROCESS)
        alone = [await here.take_tokens("killed", *SLOW) for _ in range(12)]
        assert [one.granted for one in alone] == [1] * 10 + [0] * 2
        assert not any(one.shared for one in alone)
        assert (await there.take_tokens("killed", *SLOW, wanted=10)).granted == 10
        assert answered_by(PROCESS) - before == 13
        said = [line for line in caplog.messages if "in each process alone" in line]
        assert len(said) == 2  # one for each process
        server.restart()
        await until_shared(here)
        monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 5.0)
        counted = answered_by(SHARD)
        assert await here.take_tokens("killed", *SLOW, wanted=2) == (2, 0.0, True)
        assert answered_by(SHARD) - counted == 1


async def test_a_shard_that_stands_still_holds_nobody_up_for_long(
    make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisProcess() as server:
        layer, loop = make_layer(server.url), asyncio.get_running_loop()
        await until_shared(layer)
        monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 0.25)
        server.pause()
        try:
            waits = []
            for _ in range(50):
                began = loop.time()
                assert (await layer.take_tokens("still", *SLOW)).shared is False
                waits.append(loop.time() - began)
        finally:
            server.resume()
        # The first waits for an answer; those behind it know that there is none.
        assert sorted(waits)[len(waits) // 2] < max(waits) / 10
        await until_shared(layer)


async def test_a_shard_that_refuses_is_said_once_a_period_with_its_reason(
    make_layer: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "AGAIN_SECONDS", 0.0)  # asked, and refusing, each time
    with RedisProcess() as server, server.client as client, caplog.at_level(logging.WARNING, "realtime_gateway.layer"):
        layer = make_layer(server.url)
        await until_shared(layer)
        client.config_set("maxmemory", 1)
        for _ in range(20):
            assert (await layer.take_tokens("refused", *SLOW)).shared is False
        said = [line for line in caplog.messages if "in each process alone" in line]
        assert len(said) == 1
        assert "shard 0 refuses" in said[0]
        assert "memory" in said[0]
        client.config_set("maxmemory", 0)
        await until_shared(layer)


async def test_synchronous_code_in_another_thread_takes_from_the_same_bucket(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url)
    await layer.new_channel()
    await layer.take_tokens("threads", *SLOW, wanted=4)
    taken: list[Any] = []
    thread = threading.Thread(target=lambda: taken.append(async_to_sync(layer.take_tokens)("threads", *SLOW, 10)))
    thread.start()
    await asyncio.to_thread(thread.join)
    assert taken[0].granted == 6


def test_synchronous_code_asks_over_kept_connections() -> None:
    with RedisProcess() as server:
        layer = RedisChannelLayer(hosts=[server.url])
        assert async_to_sync(layer.take_tokens)("views", *SLOW).shared
        before = server.info("stats")["total_connections_received"]
        assert [async_to_sync(layer.take_tokens)("views", *SLOW).granted for _ in range(12)] == [1] * 9 + [0] * 3
        assert server.info("stats")["total_connections_received"] - before == 1  # the test's own
        async_to_sync(layer.close)()


@pytest.mark.parametrize("numbers", [(0, 5, 1), (1, 0, 1), (1, 0.5, 1), (1, 5, 0), (-1, 5, 1)])
async def test_a_bucket_that_gives_nothing_is_a_mistake(
    numbers: tuple[float, float, int], redis_server: RedisProcess, make_layer: Make
) -> None:
    rate, burst, wanted = numbers
    with pytest.raises(ValueError, match="gives nobody"):
        await make_layer(redis_server.url).take_tokens("key", rate, burst, wanted)


INFINITE = float("inf")


@pytest.mark.parametrize("numbers", [(1e-300, 5, 1), (1e300, 5, 1), (1, INFINITE, 1), (INFINITE, 1, 1), (1, 5, 10**20)])
async def test_what_cannot_be_counted_is_a_mistake(
    numbers: tuple[float, float, int], redis_server: RedisProcess, make_layer: Make
) -> None:
    rate, burst, wanted = numbers
    with pytest.raises(ValueError, match="cannot be counted"):
        await make_layer(redis_server.url).take_tokens("key", rate, burst, wanted)


async def test_one_key_that_is_not_a_bucket_leaves_the_others_of_its_shard_shared(
    redis_server: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(redis_server.url)
    await until_shared(layer)
    with redis_server.client as client:
        client.lpush("asgi:tokens:spoilt", "a list")
    with caplog.at_level(logging.WARNING, "realtime_gateway.layer"):
        for _ in range(3):
            assert not await is_shared(layer, "spoilt")
            assert await is_shared(layer)
    assert [line for line in caplog.messages if "WRONGTYPE" in line and "refuses" in line]


async def test_places_are_shared_and_those_of_a_dead_process_are_free_after_their_life(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "HOLD_SECONDS", 0.5)
    here, there = make_layer(redis_server.url), make_layer(redis_server.url)
    assert await here.hold_places("seats", 2, 3) == (True, True)
    assert await there.hold_places("seats", 2, 3) == (False, True)
    assert await there.hold_places("seats", 1, 3) == (True, True)
    await here.close()  # it says nothing more of its places
    async with asyncio.timeout(20):
        while not (await there.hold_places("seats", 3, 3)).granted:
            await asyncio.sleep(0.02)
    with redis_server.client as client:
        assert client.hlen("asgi:places:seats") == 1


async def test_without_its_shard_a_process_has_all_places_for_itself(
    make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisProcess() as server:
        here, there = make_layer(server.url), make_layer(server.url)
        for layer in (here, there):
            await until_shared(layer)
        assert (await here.hold_places("alone", 3, 3)).granted
        monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 0.25)
        server.kill()
        assert await there.hold_places("alone", 3, 3) == (True, False)
        assert await there.hold_places("alone", 4, 3) == (False, False)
        assert await there.hold_places("alone", 4, 0) == (True, False)
