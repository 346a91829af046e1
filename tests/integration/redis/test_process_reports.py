"""What a process says of itself on its shards, as the operator reads it there."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.telemetry import recorder
from realtime_operator.observe.redis_servers import RedisServers, Stored
from realtime_operator.snapshot import Address, Process

PASSWORD = "secret"


@pytest.mark.parametrize("stack", ["", "jwt"])
async def test_the_operator_reads_which_auth_stack_a_process_uses(stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in list(recorder.auth_stack.values):
        monkeypatch.delitem(recorder.auth_stack.values, known)
    if stack:
        monkeypatch.setitem(recorder.auth_stack.values, stack, 1.0)
    with RedisProcess("--user", "operator", "on", f">{PASSWORD}", "~*", "&*", "+@all") as server:
        servers = RedisServers(lambda: PASSWORD)
        layer = RedisChannelLayer(hosts=[server.url], prefix="mine")
        found: list[Process] = []

        async def read() -> None:
            stored = await servers.stored(Address("127.0.0.1", server.port), "mine")
            found[:] = stored.processes if isinstance(stored, Stored) else []

        try:
            await layer.new_channel()
            async with asyncio.timeout(20):
                while not found:
                    await read()
                    await asyncio.sleep(0.05)
        finally:
            await layer.close()
            await servers.close()
    assert [(one.id, one.auth_stack) for one in found] == [(layer.client_prefix, stack)]
