"""A failover that is not over for every Sentinel yet: the one that leads it waits for a replica that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from tests.support.conditions import until, wait_until
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.layer.shards.dialling import find
from realtime_gateway.layer.shards.sentinel_watch import SentinelWatch

SECONDS = 20.0
PAST_THE_TEST_MS = 60_000


@dataclass(frozen=True)
class Replaced:
    """A primary, a replica that can follow it, one that cannot and will be waited for, and two Sentinels."""

    primary: RedisProcess
    heir: RedisProcess
    slow: RedisProcess
    leader: SentinelProcess
    other: SentinelProcess

    def begin(self) -> None:
        """Let a Sentinel replace the primary."""
        with self.leader.client as client:
            client.sentinel_failover("chat")

    def knows(self, sentinel: SentinelProcess) -> bool:
        """Whether a Sentinel can replace the primary, and knows the other one, whom it tells."""
        with sentinel.client as client:
            said = client.sentinel_master("chat")
            replicas = client.sentinel_slaves("chat")
        following = [replica for replica in replicas if replica["master-link-status"] == "ok"]
        return said["num-other-sentinels"] == 1 and len(following) == 2

    def is_half_done(self) -> bool:
        """Whether the leader names the heir, and describes the server that it replaces."""
        with self.leader.client as client:
            _, named_port = client.sentinel_get_master_addr_by_name("chat")
            described = client.sentinel_master("chat")
        return bool(named_port == self.heir.port and described["port"] == self.primary.port)


@pytest.fixture
def replaced() -> Iterator[Replaced]:
    with ExitStack() as stack:
        options = ("--repl-diskless-sync-delay", "0")
        primary = stack.enter_context(RedisProcess(*options))
        heir = RedisProcess(*options).start_as_replica_of(primary)
        stack.callback(heir.stop)
        slow = RedisProcess(*options, "--replica-priority", "0").start_as_replica_of(primary)
        stack.callback(slow.stop)
        patience = {"down_after_ms": PAST_THE_TEST_MS, "failover_timeout_ms": PAST_THE_TEST_MS}
        leader, other = (
            stack.enter_context(SentinelProcess({"chat": primary}, quorum=2, **patience)) for _ in range(2)
        )
        found = Replaced(primary, heir, slow, leader, other)
        wait_until(lambda: found.knows(leader) and found.knows(other), SECONDS)
        slow.pause()
        yield found


async def test_a_sentinel_that_has_promoted_a_server_leads_there(replaced: Replaced) -> None:
    replaced.begin()
    await until(replaced.is_half_done, SECONDS)
    target = await find({"sentinels": [replaced.leader.address], "master_name": "chat"}, SECONDS)
    assert target.address == replaced.heir.address
    assert replaced.is_half_done()


async def test_who_hears_of_a_new_primary_hears_of_it_from_each_sentinel(replaced: Replaced) -> None:
    heard: list[tuple[str, int]] = []
    addresses = [replaced.leader.address, replaced.other.address]
    watch = SentinelWatch(addresses, dict, SECONDS, lambda name, address: heard.append(address))
    watch.watch(frozenset({"chat"}))
    try:
        await until(lambda: replaced.primary.address in heard, SECONDS)
        await until(lambda: len(watch.file_numbers()) == len(addresses), SECONDS)
        replaced.begin()
        await until(lambda: heard[-1] == replaced.heir.address, SECONDS)
        replaced.slow.resume()
        await until(lambda: heard.count(replaced.heir.address) == len(addresses), SECONDS)
    finally:
        await asyncio.gather(*watch.cancel(), return_exceptions=True)
