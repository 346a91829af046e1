"""The limits of a process beside another one's, over a real Redis: tokens in hand, and places that are said again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels.layers import channel_layers
from django.test import override_settings
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer, shared_limits
from realtime_gateway.security import places
from realtime_gateway.security.across_pods import AcrossPods
from realtime_gateway.security.lease import ASK
from realtime_gateway.security.limiter import Limiter, SharedTokens
from realtime_gateway.security.places import Places

Make = Callable[..., RedisChannelLayer]
BACKEND = "realtime_gateway.layer.RedisChannelLayer"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of a busy machine may take its time."""
    monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 5.0)
    monkeypatch.setattr(shared_limits, "FIRST_SECONDS", 20.0)


@pytest.fixture
async def pods(redis_server: RedisProcess) -> AsyncIterator[AcrossPods]:
    """What this process asks, with the site's own channel layer."""
    configured = {"default": {"BACKEND": BACKEND, "CONFIG": {"hosts": [redis_server.url]}}}
    with override_settings(CHANNEL_LAYERS=configured):
        yield AcrossPods()
        await channel_layers["default"].close()


async def spend(tokens: SharedTokens, messages: int) -> int:
    """Take a token for each message, as one connection does, and return how many there were."""
    passed, now = 0, asyncio.get_running_loop().time
    for _ in range(messages):
        while (wait_seconds := tokens.take(1, now())) == ASK:
            await tokens.fetched(1)
        passed += not wait_seconds
    return passed


async def test_a_user_of_two_processes_has_one_burst(
    pods: AcrossPods, redis_server: RedisProcess, make_layer: Make
) -> None:
    there = make_layer(redis_server.url)
    assert (await there.take_tokens("one burst", 1, 100, 60)).granted == 60
    assert 40 <= await spend(SharedTokens("one burst", (1, 100), pods), 500) <= 45  # a few come meanwhile


async def test_the_connections_are_on_the_loop_that_asks_first(pods: AcrossPods) -> None:
    threads = threading.active_count()
    await pods.take_tokens("first", (1, 1), 1, 0.0)
    assert threading.active_count() == threads
    assert channel_layers["default"]._binding.driver_here() is not None


async def test_tokens_in_hand_save_the_question_for_each_message(pods: AcrossPods, redis_server: RedisProcess) -> None:
    await pods.take_tokens("warm", (1, 1), 1, 0.0)

    def questions() -> int:
        return int(redis_server.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = questions()
    assert await spend(SharedTokens("in hand", (1, 1000), pods), 500) == 500
    assert questions() - before <= 16


async def test_a_flood_beyond_the_limit_does_not_reach_redis(pods: AcrossPods, redis_server: RedisProcess) -> None:
    tokens = SharedTokens("flood", (1, 10), pods)
    await spend(tokens, 30)
    before = int(redis_server.info("commandstats")["cmdstat_evalsha"]["calls"])
    assert await spend(tokens, 20_000) <= 3
    assert int(redis_server.info("commandstats")["cmdstat_evalsha"]["calls"]) - before <= 10


async def test_connections_of_other_processes_count(
    pods: AcrossPods, redis_server: RedisProcess, make_layer: Make
) -> None:
    there, here = make_layer(redis_server.url), Places(pods)
    assert (await there.hold_places("two", 1, 2)).granted
    assert await here.take("two", 2)
    assert not await here.take("two", 2)
    assert not (await there.hold_places("two", 2, 2)).granted
    here.leave("two")
    async with asyncio.timeout(20):
        while not (await there.hold_places("two", 2, 2)).granted:
            await asyncio.sleep(0.02)


async def test_connections_that_come_together_get_no_place_twice(pods: AcrossPods, redis_server: RedisProcess) -> None:
    here = Places(pods)
    granted = await asyncio.gather(*(here.take("together", 7) for _ in range(50)))
    assert sum(granted) == 7
    for _ in range(7):
        here.leave("together")
    with redis_server.client as client:
        await until(lambda: not client.exists("asgi:places:together"))


async def test_places_are_said_again_as_long_as_they_are_held(
    pods: AcrossPods, redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_limits, "HOLD_SECONDS", 1.0)
    monkeypatch.setattr(places, "RENEW_SECONDS", 0.1)
    there, here = make_layer(redis_server.url), Places(pods)
    assert await here.take("again", 1)
    with redis_server.client as client:
        until_ms = lambda: int((client.hgetall("asgi:places:again") or {b"": b"0 0"}).popitem()[1].split()[1])  # noqa: E731
        first = until_ms()
        await until(lambda: until_ms() > first + 2000)  # twice its life
        assert not (await there.hold_places("again", 1, 1)).granted
        here.leave("again")
        await until(lambda: not client.exists("asgi:places:again"))


async def test_places_are_said_again_while_connections_come_and_go_all_the_time(
    pods: AcrossPods, redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "RENEW_SECONDS", 0.1)
    here, came = Places(pods), 0
    assert await here.take("calm", 1)

    async def come_and_go() -> None:
        nonlocal came
        while True:
            assert await here.take("busy", 100)
            here.leave("busy")
            came += 1

    with redis_server.client as client:
        until_ms = lambda: int(client.hvals("asgi:places:calm")[0].split()[1])  # noqa: E731
        coming = [asyncio.create_task(come_and_go()) for _ in range(20)]
        try:
            await until(lambda: came > 500)
            first = until_ms()
            await until(lambda: until_ms() > first)
        finally:
            for task in coming:
                task.cancel()
            await asyncio.wait(coming)
        here.leave("calm")
        await until(lambda: not client.exists("asgi:places:calm", "asgi:places:busy"))


@pytest.mark.parametrize("turns", range(6))
async def test_who_comes_while_it_is_said_that_another_one_left_is_counted(
    turns: int, pods: AcrossPods, redis_server: RedisProcess
) -> None:
    here = Places(pods)
    assert await here.take("next", 1)
    here.leave("next")
    for _ in range(turns):
        await asyncio.sleep(0)
    assert await here.take("next", 1)
    await until(lambda: not here._left)
    await pods.hold_places("behind it", 0, 0, 0.0)
    with redis_server.client as client:
        assert [held.split()[0] for held in client.hvals("asgi:places:next")] == [b"1"]
        here.leave("next")
        await until(lambda: not client.exists("asgi:places:next"))


async def test_many_keys_are_said_again_by_few_calls_over_the_whole_period(
    pods: AcrossPods, redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "RENEW_SECONDS", 2.0)
    here, keys = Places(pods), [f"many-{number}" for number in range(400)]
    assert all(await asyncio.gather(*(here.take(key, 1) for key in keys)))
    with redis_server.client as client:
        pipeline = client.pipeline(transaction=False)

        def until_ms() -> list[int]:
            for key in keys:
                pipeline.hvals(f"asgi:places:{key}")
            return [int(held[0].split()[1]) for held in pipeline.execute()]

        calls = lambda: redis_server.info("commandstats")["cmdstat_evalsha"]["calls"]  # noqa: E731
        before, first, latest = calls(), until_ms(), max(until_ms())
        await until(lambda: min(until_ms()) > latest)
        assert calls() - before <= 100
        assert max(until_ms()) - min(until_ms()) > max(first) - min(first) + 500
        for key in keys:
            here.leave(key)
        await until(lambda: not client.keys("asgi:places:many-*"))


async def test_after_redis_was_away_it_is_told_again_who_holds_what(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "RENEW_SECONDS", 0.1)
    with RedisProcess() as server:
        configured = {"default": {"BACKEND": BACKEND, "CONFIG": {"hosts": [server.url]}}}
        with override_settings(CHANNEL_LAYERS=configured):
            here = Places(AcrossPods())
            assert await here.take("back", 2)
            monkeypatch.setattr(shared_limits, "ANSWER_SECONDS", 0.25)
            server.kill()
            assert await here.take("back", 2)
            assert not await here.take("back", 2)
            server.restart()
            with server.client as client:
                await until(lambda: (client.hgetall("asgi:places:back") or {b"": b""}).popitem()[1].startswith(b"2 "))
            for _ in range(2):
                here.leave("back")
            await channel_layers["default"].close()


async def test_new_connections_of_a_key_that_was_refused_are_refused_without_asking(
    pods: AcrossPods, redis_server: RedisProcess
) -> None:
    from realtime_gateway.resource.limits import AddressLimits
    from realtime_gateway.security.limiter import Arrivals

    found, heard = Limiter(asyncio.get_running_loop(), logging.getLogger(__name__)), []

    async def inside(scope: Any, receive: Any, send: Any) -> None:
        heard.append("inside")

    async def connect() -> Any:
        return {"type": "websocket.connect"}

    async def hear(message: Any) -> None:
        heard.append(message.get("status"))

    arrivals = Arrivals(AddressLimits(connections_per_minute=2))
    scope = {"type": "websocket", "path": "/", "extensions": {"websocket.http.response": {}}}
    for _ in range(3):
        await found.run(arrivals, "a:192.0.2.9", inside, (scope, connect, hear))
    before = int(redis_server.info("commandstats")["cmdstat_evalsha"]["calls"])
    for _ in range(100):
        await found.run(arrivals, "a:192.0.2.9", inside, (scope, connect, hear))
    assert heard.count("inside") == 2
    assert heard.count(429) == 101
    assert int(redis_server.info("commandstats")["cmdstat_evalsha"]["calls"]) - before <= 10
