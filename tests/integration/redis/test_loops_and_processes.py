"""Where the layer's I/O runs: other loops, threads, synchronous code, closed loops, forked children."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]


def connections(server: RedisProcess) -> int:
    with server.client as client:
        return len(client.client_list()) - 1


def total_connections(server: RedisProcess) -> int:
    with server.client as client:
        number: int = client.info("stats")["total_connections_received"]
        return number


async def soon(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


def test_synchronous_code_sends_over_connections_that_are_kept(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    send = async_to_sync(layer.group_send)
    send("room", {"type": "first"})
    before = total_connections(redis_server)
    for _ in range(50):
        send("room", {"type": "more"})
    # The one that counts is itself a connection.
    assert total_connections(redis_server) == before + 1
    async_to_sync(layer.close)()


async def test_a_view_in_a_thread_uses_the_loop_that_receives(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    receiving = asyncio.create_task(soon(layer, channel))
    before = await asyncio.to_thread(connections, redis_server)

    def view(number: int) -> None:
        async_to_sync(layer.group_send)("room", {"type": "count", "n": number})

    await sync_to_async(view)(0)
    assert (await receiving)["n"] == 0
    threads = [threading.Thread(target=view, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    assert sorted([(await soon(layer, channel))["n"] for _ in range(8)]) == list(range(1, 9))
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert await asyncio.to_thread(connections, redis_server) == before == 2


async def test_group_changes_from_a_thread_act_on_the_receiving_loops_channels(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url)
    channel = await layer.new_channel()
    await asyncio.to_thread(async_to_sync(layer.group_add), "room", channel)
    await layer.group_send("room", {"type": "hello"})
    assert (await soon(layer, channel))["type"] == "hello"


async def test_a_process_that_only_sent_before_may_begin_to_receive(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url)
    await asyncio.to_thread(async_to_sync(layer.send), "work", {"type": "from a thread"})
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "own"})
    assert (await soon(layer, channel))["type"] == "own"
    assert (await soon(layer, "work"))["type"] == "from a thread"
    await asyncio.to_thread(async_to_sync(layer.send), channel, {"type": "from a thread again"})
    assert (await soon(layer, channel))["type"] == "from a thread again"


async def test_who_sends_while_a_receiver_takes_the_connections_over_is_told_how_it_ended(make_layer: Make) -> None:
    with RedisProcess() as server:
        layer = make_layer(server.url, send_timeout=60)
        await asyncio.to_thread(async_to_sync(layer.group_send), "room", {"type": "n", "n": 1})
        server.pause()
        sending = asyncio.create_task(asyncio.to_thread(async_to_sync(layer.group_send), "room", {"type": "n", "n": 2}))
        machine = layer._binding.state.machine
        async with asyncio.timeout(10):
            while machine.last_sequence < 2:
                await asyncio.sleep(0.01)
        await layer.new_channel()  # its loop has the connections from here on
        server.resume()
        async with asyncio.timeout(30):
            await sending
        with server.client as client:
            assert client.xlen("asgi:g:room") >= 2, "also what was written to the first connection may have been read"


def test_a_closed_loop_hands_over_to_the_next_with_its_channels(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])

    async def first() -> str:
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.send(channel, {"type": "kept"})
        return channel

    channel = asyncio.run(first())
    async_to_sync(layer.group_send)("room", {"type": "meanwhile"})

    async def second() -> list[dict[str, Any]]:
        await layer.group_send("room", {"type": "last"})
        return [await soon(layer, channel) for _ in range(3)]

    assert sorted(message["type"] for message in asyncio.run(second())) == ["kept", "last", "meanwhile"]
    asyncio.run(layer.close())


def test_a_request_of_a_loop_that_ended_is_not_taken_for_one_of_the_next(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url, f"redis://127.0.0.1:{free_port()}"], send_timeout=1)
    unreachable = next(f"room-{n}" for n in range(100) if layer.hosts.owner(f"room-{n}").name == "1")

    async def give_up() -> None:
        await layer.new_channel()
        sending = asyncio.create_task(layer.group_send(unreachable, {"type": "x"}))
        await asyncio.sleep(0.05)
        sending.cancel()

    async def fail() -> None:
        await layer.new_channel()
        with pytest.raises(ShardUnavailable, match="'1'"):
            await layer.group_send(unreachable, {"type": "x"})
        await layer.close()

    asyncio.run(give_up())
    asyncio.run(fail())


def test_a_loop_that_is_closed_without_a_word_leaves_no_connection(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    before = connections(redis_server)
    for _ in range(3):
        loop = asyncio.new_event_loop()
        channel = loop.run_until_complete(layer.new_channel())
        loop.run_until_complete(layer.send(channel, {"type": "x"}))
        assert loop.run_until_complete(soon(layer, channel)) == {"type": "x"}
        loop.close()
        assert connections(redis_server) == before


def test_a_loop_that_pauses_and_runs_again_finds_its_messages_and_can_be_closed(redis_server: RedisProcess) -> None:
    loop = asyncio.new_event_loop()
    layer = RedisChannelLayer(hosts=[redis_server.url])
    before = connections(redis_server)
    channel = loop.run_until_complete(layer.new_channel())
    for number in range(3):
        # The loop stands still, so the thread of the layer's own takes over.
        async_to_sync(layer.send)(channel, {"type": "x", "number": number})
    assert [loop.run_until_complete(soon(layer, channel))["number"] for _ in range(3)] == [0, 1, 2]
    loop.close()
    asyncio.run(layer.close())
    assert connections(redis_server) == before


def test_a_loop_that_has_had_many_layers_can_still_be_closed(redis_server: RedisProcess) -> None:
    loop = asyncio.new_event_loop()
    layer = RedisChannelLayer(hosts=[redis_server.url])
    before, hook = connections(redis_server), None
    for _ in range(3):
        loop.run_until_complete(layer.new_channel())
        hook = hook or loop.close
        assert loop.close is hook
        loop.run_until_complete(layer.close())
    loop.run_until_complete(layer.new_channel())
    loop.close()
    assert connections(redis_server) == before


async def test_two_loops_that_receive_at_once_get_a_clear_error(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url)
    channel = await layer.new_channel()
    receiving = asyncio.create_task(soon(layer, channel))
    await layer.send("work", {"type": "settle"})
    with pytest.raises(RuntimeError, match="Two event loops are trying to receive"):
        await asyncio.to_thread(lambda: asyncio.run(layer.receive(channel)))
    await layer.send(channel, {"type": "still works"})
    assert await receiving == {"type": "still works"}


async def test_the_layers_tasks_see_nothing_of_their_callers_context(
    redis_server: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    request: ContextVar[str] = ContextVar("request")
    request.set("secret of the first request")
    seen: list[str] = []

    def look(record: logging.LogRecord) -> bool:
        seen.append(request.get("nothing"))
        return True

    logger = logging.getLogger("realtime_gateway.layer")
    logger.addFilter(look)
    try:
        layer = make_layer(redis_server.url)
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "x"})
        await soon(layer, channel)
        with redis_server.client as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.01)
    finally:
        logger.removeFilter(look)
    assert set(seen) == {"nothing"}


async def test_a_layer_that_nobody_holds_any_more_ends_its_connections(redis_server: RedisProcess) -> None:
    before = await asyncio.to_thread(connections, redis_server)
    layer = RedisChannelLayer(hosts=[redis_server.url])
    await layer.new_channel()
    await layer.group_send("room", {"type": "x"})
    other = RedisChannelLayer(hosts=[redis_server.url])
    await asyncio.to_thread(async_to_sync(other.group_send), "room", {"type": "x"})
    assert await asyncio.to_thread(connections, redis_server) == before + 4
    del layer, other
    gc.collect()
    async with asyncio.timeout(10):
        while await asyncio.to_thread(connections, redis_server) > before:
            await asyncio.sleep(0.02)


def test_a_forked_child_is_a_process_of_its_own(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loop = asyncio.new_event_loop()
    channel = loop.run_until_complete(layer.new_channel())
    loop.run_until_complete(layer.group_add("room", channel))
    read, write = os.pipe()
    with warnings.catch_warnings():
        # Python warns that the process has threads; that is what prefork servers do.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(write, json.dumps(_as_a_child(layer, channel)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as answers:
        answer = json.loads(answers.read())
    assert os.waitpid(child, 0)[1] == 0
    assert answer["client_prefix"] != layer.client_prefix
    assert answer["own"] == {"type": "own"}
    assert loop.run_until_complete(soon(layer, channel)) == {"type": "from the child"}
    loop.run_until_complete(layer.group_send("room", {"type": "parent still works"}))
    assert loop.run_until_complete(soon(layer, channel)) == {"type": "parent still works"}
    loop.run_until_complete(layer.close())
    loop.close()


def _as_a_child(layer: RedisChannelLayer, parents_channel: str) -> dict[str, Any]:
    async def act() -> dict[str, Any]:
        own = await layer.new_channel()
        await layer.send(own, {"type": "own"})
        received = await soon(layer, own)
        await layer.group_send("room", {"type": "from the child"})
        await layer.close()
        return {"own": received, "client_prefix": layer.client_prefix, "channel": parents_channel}

    # The parent's loop is "running" for nobody here, but asyncio keeps what the thread remembers.
    asyncio.set_event_loop(None)
    return asyncio.run(act())


def test_a_preloading_server_forks_after_the_layer_was_used(redis_server: RedisProcess, tmp_path: Path) -> None:
    """As gunicorn --preload and Celery do: the master has sent from its own thread, then the workers send."""
    script = tmp_path / "prefork.py"
    script.write_text(
        "import os, sys\n"
        "from asgiref.sync import async_to_sync\n"
        "from realtime_gateway.layer import RedisChannelLayer\n"
        f"layer = RedisChannelLayer(hosts=[{redis_server.url!r}])\n"
        "send = async_to_sync(layer.send)\n"
        "send('prefork', {'type': 'master'})\n"
        "children = []\n"
        "for number in range(3):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        for _ in range(10):\n"
        "            send('prefork', {'type': f'worker {number}'})\n"
        "        os._exit(0)\n"
        "    children.append(child)\n"
        "send('prefork', {'type': 'master'})\n"
        "sys.exit(sum(os.waitpid(child, 0)[1] for child in children))\n"
    )
    subprocess.run([sys.executable, "-W", "ignore::DeprecationWarning", str(script)], check=True, timeout=30)

    async def collect() -> list[str]:
        layer = RedisChannelLayer(hosts=[redis_server.url])
        kinds = [(await soon(layer, "prefork"))["type"] for _ in range(32)]
        await layer.close()
        return kinds

    kinds = asyncio.run(collect())
    assert kinds.count("master") == 2
    assert all(kinds.count(f"worker {number}") == 10 for number in range(3))
