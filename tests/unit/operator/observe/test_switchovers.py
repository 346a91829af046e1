"""Subscriptions at Sentinels: a switchover wakes at once, from real Sentinels, and none is missed by a break."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_operator.observe import redis_servers, switchovers
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.observe.switchovers import Switchovers
from realtime_operator.snapshot import Address

PASSWORD = "secret"
OPERATOR = ("--user", "operator", "on", f">{PASSWORD}", "~*", "&*", "+@all")
MASTER = "chat-redis-0-abc"


class Bed:
    """A primary, its replica, and a Sentinel that knows both."""

    def __init__(self, stack: ExitStack) -> None:
        self.primary = stack.enter_context(RedisProcess(*OPERATOR))
        replication = ("--replicaof", "127.0.0.1", str(self.primary.port), "--repl-diskless-sync-delay", "0")
        self.replica = stack.enter_context(RedisProcess(*OPERATOR, *replication))
        self.sentinel = SentinelProcess({MASTER: self.primary})
        with self.sentinel.configuration.open("a") as file:
            file.write(f"user operator on >{PASSWORD} &* +@all\n")
        stack.enter_context(self.sentinel)
        self.address = Address(*self.sentinel.address)

    def can_fail_over(self) -> bool:
        """Whether the Sentinel has seen the replica in step."""
        with self.sentinel.client as client:
            return any(replica["master-link-status"] == "ok" for replica in client.sentinel_slaves(MASTER))

    def has_listener(self) -> bool:
        with self.sentinel.client as client:
            return any(entry["sub"] == "1" for entry in client.client_list())


@pytest.fixture
def bed() -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(stack)


@pytest.fixture
async def servers() -> AsyncIterator[RedisServers]:
    made = RedisServers(lambda: PASSWORD)
    yield made
    await made.close()


@pytest.fixture
async def woken(servers: RedisServers, bed: Bed) -> AsyncIterator[asyncio.Event]:
    event = asyncio.Event()
    listening = Switchovers(servers, event.set)
    listening.listen_at([bed.address])
    await until(bed.has_listener, 10)
    yield event
    await listening.close()


async def test_a_primary_that_moves_wakes_as_soon_as_sentinel_names_the_new_one(
    bed: Bed, servers: RedisServers, woken: asyncio.Event
) -> None:
    await until(bed.can_fail_over, 30)
    assert not woken.is_set()
    await servers.tell(bed.address, "SENTINEL", "FAILOVER", MASTER)
    async with asyncio.timeout(20):
        await woken.wait()
    answers = await servers.sentinel(bed.address)
    assert answers[MASTER].primary == Address(*bed.replica.address)  # type: ignore[index] # it answers


async def test_a_subscription_that_broke_stands_again_and_wakes_since_one_may_have_been_missed(
    monkeypatch: pytest.MonkeyPatch, bed: Bed, woken: asyncio.Event
) -> None:
    monkeypatch.setattr(switchovers, "AGAIN_SECONDS", 0.05)
    bed.sentinel.restart()
    async with asyncio.timeout(20):
        await woken.wait()
    await until(bed.has_listener, 10)


async def test_a_peer_that_is_silent_to_a_ping_counts_as_gone(
    monkeypatch: pytest.MonkeyPatch, bed: Bed, servers: RedisServers
) -> None:
    monkeypatch.setattr(redis_servers, "PING_SECONDS", 0.1)
    listening = servers.messages(bed.address, switchovers.CHANNEL)
    assert await anext(listening) == ""
    bed.sentinel.pause()
    try:
        async with asyncio.timeout(20):
            assert [message async for message in listening] == []
    finally:
        bed.sentinel.resume()


async def test_a_quiet_sentinel_that_answers_pings_is_listened_to_on(
    monkeypatch: pytest.MonkeyPatch, bed: Bed, servers: RedisServers
) -> None:
    monkeypatch.setattr(redis_servers, "PING_SECONDS", 1.0)
    listening = servers.messages(bed.address, "+reset-master")
    assert await anext(listening) == ""
    hearing = asyncio.ensure_future(anext(listening))
    done, _ = await asyncio.wait([hearing], timeout=3.5)  # the time of three pings, one of them after an answer
    assert not done
    await servers.tell(bed.address, "SENTINEL", "RESET", MASTER)
    assert MASTER in await hearing
    await listening.aclose()  # type: ignore[attr-defined] # it is a generator


async def test_sentinels_that_are_not_wanted_any_more_are_not_listened_to(bed: Bed, servers: RedisServers) -> None:
    listening = Switchovers(servers, lambda: None)
    listening.listen_at([bed.address])
    await until(bed.has_listener, 10)
    listening.listen_at([])
    await until(lambda: not bed.has_listener(), 10)
    await listening.close()
