"""A process that ends in order leaves nothing that only it could have sent again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]


@pytest.fixture
def primary() -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        yield server


@pytest.fixture
def replica(primary: RedisProcess) -> Iterator[RedisProcess]:
    with RedisProcess() as server:
        with primary.client as client:
            client.config_set("repl-diskless-sync-delay", 0)
        server.kill()
        server.start_as_replica_of(primary)
        wait_until(lambda: "online" in str(primary.info("replication")))
        yield server


def waits(server: RedisProcess) -> int:
    with server.client as client:
        return int(client.info("commandstats").get("cmdstat_wait", {"calls": 0})["calls"])


async def test_what_was_sent_is_on_a_replica_when_a_layer_has_been_closed(
    primary: RedisProcess, replica: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(primary.url)
    await layer.group_send("room", {"n": 1})
    await layer.close()
    assert waits(primary) == 1
    with replica.client as client:
        assert client.xlen("asgi:g:room") == 1


@pytest.mark.parametrize("receives", [True, False], ids=["on the receivers' loop", "on the process's own loop"])
async def test_what_nobody_has_waited_for_leaves_before_the_link_is_cut(
    primary: RedisProcess, make_layer: Make, receives: bool
) -> None:
    layer = make_layer(primary.url)
    if receives:
        await layer.new_channel()
    await layer.group_send("room", {"n": 0})
    sending = asyncio.gather(*(layer.group_send("room", {"n": n}) for n in range(1, 600)))
    await asyncio.sleep(0)
    await layer.close()
    with primary.client as client:
        assert client.xlen("asgi:g:room") == 600
    await sending


async def test_without_replicas_or_without_anything_sent_nothing_is_waited_for(
    primary: RedisProcess, make_layer: Make
) -> None:
    for sends in (True, False):
        layer = make_layer(primary.url)
        if sends:
            await layer.group_send("room", {})
        else:
            channel = await layer.new_channel()
            await layer.group_add("room", channel)
        await layer.close()
    assert waits(primary) == 0


async def test_what_was_taken_for_a_worker_that_has_gone_is_back_for_the_next(
    primary: RedisProcess, make_layer: Make
) -> None:
    layer, other = make_layer(primary.url), make_layer(primary.url)
    await layer.group_add("room", await layer.new_channel())
    await other.send("work", {"n": 1})
    primary.pause()
    try:
        receiving = asyncio.create_task(layer.receive("work"))
        async with asyncio.timeout(10):
            while not layer._binding.state.machine.queues.under_way("0"):
                await asyncio.sleep(0.01)
        receiving.cancel()
        await asyncio.wait([receiving])
        closing = asyncio.create_task(layer.close())
        closed, _ = await asyncio.wait([closing], timeout=0.2)
        assert not closed
    finally:
        primary.resume()
    await closing
    async with asyncio.timeout(10):
        assert await other.receive("work") == {"n": 1}


async def test_a_replica_that_is_behind_is_waited_for_and_told_of(
    primary: RedisProcess, replica: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(primary.url)
    await layer.group_send("room", {})
    replica.pause()
    try:
        await layer.group_send("room", {})
        await layer.close()
    finally:
        replica.resume()
    assert "no replica has what was sent last" in caplog.text


def test_a_process_that_only_sends_from_synchronous_code_ends_in_order(
    primary: RedisProcess, replica: RedisProcess, tmp_path: Path
) -> None:
    program = tmp_path / "site.py"
    program.write_text(
        textwrap.dedent(
            f"""
            from asgiref.sync import async_to_sync
            from realtime_gateway.layer import RedisChannelLayer
            layer = RedisChannelLayer(hosts=[{primary.url!r}])
            async_to_sync(layer.group_send)("room", {{"n": 1}})
            """
        )
    )
    subprocess.run([sys.executable, str(program)], check=True, env=dict(os.environ))
    assert waits(primary) == 1


SERVED = """
from django.conf import settings
settings.configure(
    SECRET_KEY="of a test",
    CHANNEL_LAYERS={{"default": {{
        "BACKEND": "realtime_gateway.layer.RedisChannelLayer", "CONFIG": {{"hosts": [{url!r}]}},
    }}}},
)
from channels.layers import get_channel_layer

async def application(scope, receive, send):
    if scope["type"] == "http":
        layer = get_channel_layer()
        await layer.group_add("room", await layer.new_channel())
        await layer.group_send("room", {{"n": 1}})
        await send({{"type": "http.response.start", "status": 200, "headers": []}})
        await send({{"type": "http.response.body", "body": b"sent"}})
"""


def test_a_server_that_is_told_to_stop_ends_in_order(
    primary: RedisProcess, replica: RedisProcess, tmp_path: Path
) -> None:
    (tmp_path / "served.py").write_text(SERVED.format(url=primary.url))
    with ServeProcess("served:application", directory=tmp_path) as server:
        with urllib.request.urlopen(server.url, timeout=20) as response:
            assert response.read() == b"sent"
        server.terminate()
        assert server.wait() == 0
        assert waits(primary) == 1, server.output


async def test_a_layer_can_be_closed_while_the_loop_that_has_its_connections_ends(make_layer: Make) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    with RedisProcess() as server:
        layer = make_layer(server.url)
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(layer.new_channel(), loop))
        await layer.group_send("room", {"n": 1})
        server.pause()
        sending = asyncio.create_task(layer.group_send("room", {"n": 2}))
        await asyncio.sleep(0)
        closing = asyncio.create_task(layer.close())
        await asyncio.sleep(0)
        loop.call_soon_threadsafe(loop.stop)
        async with asyncio.timeout(20):
            await closing
        server.resume()
    thread.join()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    await asyncio.to_thread(loop.run_until_complete, asyncio.wait(left) if left else asyncio.sleep(0))
    loop.close()


async def test_who_waits_for_a_shard_that_is_away_is_told_when_the_layer_is_closed(make_layer: Make) -> None:
    with RedisProcess() as server:
        layer = make_layer(server.url, send_timeout=3600)
        await layer.group_send("room", {"n": 1})
        server.kill()
        sending = asyncio.create_task(layer.group_send("room", {"n": 2}))
        await asyncio.sleep(0)
        await layer.close()
        async with asyncio.timeout(20):
            with pytest.raises(ShardUnavailable, match="not known whether this was stored"):
                await sending
