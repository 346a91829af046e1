"""A link is two connections to one server, and tells when that is another server than before, or has another past."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess
from tests.support.tcp_proxy import TcpProxy

from realtime_gateway.layer.shards.dialling import DialFailed
from realtime_gateway.layer.shards.link import Callbacks, open_link

LIMIT_SECONDS = 20.0


class Switch(TcpProxy):
    """Leads the first connection to one server, the next to another, and so on in turn."""

    def __init__(self, *servers: RedisProcess) -> None:
        super().__init__(servers[0].address)
        self._servers = servers
        self._accepted = 0
        self._counting = threading.Lock()

    @property
    def accepted(self) -> int:
        return self._accepted

    @property
    def target(self) -> tuple[str, int]:
        with self._counting:
            server = self._servers[self._accepted % len(self._servers)]
            self._accepted += 1
        return server.address

    @target.setter
    def target(self, address: tuple[str, int]) -> None:
        """It is asked for each connection."""


@pytest.fixture
def servers() -> Iterator[tuple[RedisProcess, RedisProcess]]:
    with ExitStack() as stack:
        yield stack.enter_context(RedisProcess()), stack.enter_context(RedisProcess())


async def identity(host: str, port: int) -> str:
    """Open a link as a process does, and return what it says that it leads to."""
    lost = asyncio.get_running_loop().create_future()
    callbacks = Callbacks("topic", lambda topic, payload: None, lambda topic: None, lost.set_result)
    link = await open_link({"host": host, "port": port}, LIMIT_SECONDS, callbacks)
    link.close()
    await lost
    return link.run_id


async def test_two_connections_that_lead_to_two_servers_are_no_link(servers: tuple[RedisProcess, RedisProcess]) -> None:
    with Switch(*servers) as switch:
        with pytest.raises(DialFailed, match="its two connections led to two servers"):
            await identity("127.0.0.1", switch.port)
        assert switch.accepted == 2


async def test_two_connections_that_lead_to_one_server_are_a_link(servers: tuple[RedisProcess, RedisProcess]) -> None:
    with Switch(servers[0]) as switch:
        assert await identity("127.0.0.1", switch.port) == await identity(*servers[0].address)


async def test_each_server_has_an_identity_of_its_own_and_keeps_it(servers: tuple[RedisProcess, RedisProcess]) -> None:
    one, other = servers
    first = await identity(*one.address)
    assert await identity(*one.address) == first
    assert await identity(*other.address) != first
    one.restart()
    assert await identity(*one.address) != first


async def test_a_primary_that_was_a_replica_in_between_is_another_one(
    servers: tuple[RedisProcess, RedisProcess],
) -> None:
    one, other = servers
    first = await identity(*one.address)
    with one.client as client:
        client.replicaof(*other.address)
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", LIMIT_SECONDS)
        with pytest.raises(DialFailed, match="the server is a replica"):
            await identity(*one.address)
        client.replicaof("NO", "ONE")
        run_id = client.info("server")["run_id"]
    second = await identity(*one.address)
    # The same process, with another past: what it holds is what the other one gave it.
    assert first.startswith(run_id)
    assert second.startswith(run_id)
    assert second != first
