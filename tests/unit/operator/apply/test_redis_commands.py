"""The planned switchover and the repair commands, against real Redis servers and Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_operator.apply import redis_commands
from realtime_operator.apply.redis_commands import SwitchoverFailed
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.plan import Follow, Forget, Monitor, Promote, SwitchOver
from realtime_operator.snapshot import Address, Role, Server, Unknown

PASSWORD = "secret"
ACCOUNTS = [
    *("--user", "operator", "on", f">{PASSWORD}", "~*", "&*", "+@all"),
    *("--user", "sentinel", "on", f">{PASSWORD}", "~*", "&*", "+@all"),
]
SHARD, MASTER = "chat-redis-0", "chat-redis-0-abc"


class Bed:
    """Three servers and three Sentinels that know nothing of each other yet."""

    def __init__(self, stack: ExitStack) -> None:
        self.processes = [stack.enter_context(RedisProcess(*ACCOUNTS)) for _ in range(3)]
        watchers = []
        for _ in range(3):
            watcher = SentinelProcess({})
            with watcher.configuration.open("a") as file:
                file.write(f"user operator on >{PASSWORD} &* +@all\n")
            watchers.append(stack.enter_context(watcher))
        self.sentinels = tuple(Address(*watcher.address) for watcher in watchers)
        self.addresses = [Address(*process.address) for process in self.processes]

    async def gather(self, servers: RedisServers) -> None:
        """Do what a plan does at the first start."""
        first, *others = self.addresses
        await redis_commands.promote(servers, Promote(SHARD, first))
        for other in others:
            await redis_commands.follow(servers, Follow(SHARD, other, first))
        for sentinel in self.sentinels:
            await redis_commands.monitor(servers, Monitor(SHARD, sentinel, MASTER, first, 2), PASSWORD)
        await self.until_attached(servers, first, 2)

    async def until_attached(self, servers: RedisServers, primary: Address, count: int) -> None:
        async with asyncio.timeout(20):
            while True:
                seen = await servers.server(primary)
                if isinstance(seen, Server) and len(seen.attached) == count:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    with ExitStack() as stack:
        yield Bed(stack)


@pytest.fixture
async def servers() -> AsyncIterator[RedisServers]:
    servers = RedisServers(lambda: PASSWORD)
    yield servers
    await servers.close()


class Writer:
    """Writes without a pause, each number to whoever is the primary, and remembers what was acknowledged."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.acknowledged: list[int] = []
        self.stopping = False

    async def run(self) -> None:
        number = 0
        while not self.stopping:
            for process in self.bed.processes:
                client = Redis(host="127.0.0.1", port=process.port, socket_timeout=3, single_connection_client=True)
                try:
                    while not self.stopping:
                        number += 1
                        await client.rpush("numbers", number)
                        self.acknowledged.append(number)
                except (RedisError, OSError):
                    await asyncio.sleep(0.01)
                finally:
                    await client.aclose()


async def test_a_planned_switchover_loses_no_acknowledged_write(bed: Bed, servers: RedisServers) -> None:
    await bed.gather(servers)
    # Sentinels must have found the replicas and each other before they can fail over.
    async with asyncio.timeout(30):
        while not await knows_all(servers, bed):
            await asyncio.sleep(0.2)
    writer = Writer(bed)
    writing = asyncio.create_task(writer.run())
    await until(lambda: len(writer.acknowledged) > 500, 20)
    old = bed.addresses[0]
    new = await redis_commands.switch_over(servers, SwitchOver(SHARD, MASTER, old, bed.sentinels))
    count = len(writer.acknowledged)
    await until(lambda: len(writer.acknowledged) > count + 500, 20)
    writer.stopping = True
    await writing
    assert new != old
    assert isinstance(await servers.server(new), Server), "asked again, since Sentinel has closed the kept connection"
    stored = {int(number) for number in await servers.client(new).lrange("numbers", 0, -1)}
    assert set(writer.acknowledged) <= stored
    seen = await servers.server(old)
    assert isinstance(seen, Server)
    assert seen.role is Role.REPLICA
    assert seen.follows == new


async def knows_all(servers: RedisServers, bed: Bed) -> bool:
    for sentinel in bed.sentinels:
        replicas = await servers.tell(sentinel, "SENTINEL", "REPLICAS", MASTER)
        others = await servers.tell(sentinel, "SENTINEL", "SENTINELS", MASTER)
        if len(replicas) < 2 or len(others) < 2:
            return False
    return True


async def test_a_switchover_without_a_replica_in_step_is_given_up_and_writes_go_on(servers: RedisServers) -> None:
    with RedisProcess(*ACCOUNTS) as alone:
        address = Address(*alone.address)
        with pytest.raises(SwitchoverFailed, match="No replica"):
            await redis_commands.switch_over(servers, SwitchOver(SHARD, MASTER, address, ()))
        assert await asyncio.wait_for(servers.client(address).set("key", "value"), 2)


async def test_a_sentinel_forgets_and_is_told_anew(bed: Bed, servers: RedisServers) -> None:
    sentinel, target = bed.sentinels[0], bed.addresses[1]
    await redis_commands.monitor(servers, Monitor(SHARD, sentinel, "other", target, 2), PASSWORD)
    await redis_commands.monitor(servers, Monitor(SHARD, sentinel, "other", target, 2, anew=True), PASSWORD)
    answers = await servers.sentinel(sentinel)
    assert not isinstance(answers, Unknown)
    assert answers["other"].primary == target
    await redis_commands.forget(servers, Forget(sentinel, "other"))
    answers = await servers.sentinel(sentinel)
    assert not isinstance(answers, Unknown)
    assert "other" not in answers


async def test_a_server_that_does_not_answer_is_unknown_and_then_known_again(servers: RedisServers) -> None:
    with RedisProcess(*ACCOUNTS) as server:
        address = Address(*server.address)
        assert isinstance(await servers.server(address), Server)
        server.pause()
        try:
            assert isinstance(await servers.server(address), Unknown)
        finally:
            server.resume()
        assert isinstance(await servers.server(address), Server)
        server.restart()
        assert isinstance(await servers.server(address), Server)


async def test_a_wrong_password_is_unknown_and_not_shown() -> None:
    servers = RedisServers(lambda: "wrong-password")
    with RedisProcess(*ACCOUNTS) as server:
        seen = await servers.server(Address(*server.address))
    await servers.close()
    assert isinstance(seen, Unknown)
    assert "WRONGPASS" in seen.why or "invalid" in seen.why
    assert "wrong-password" not in seen.why
