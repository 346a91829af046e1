"""A driver that cannot be stopped or severed in order never shares its state with the next one."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.receiving import soon
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer, binding
from realtime_gateway.layer.driver import Driver

Make = Callable[..., RedisChannelLayer]
SECONDS = 20.0


@contextmanager
def a_loop_in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def test_a_loop_that_is_held_up_loses_the_connections_and_never_serves_beside_the_next(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "_MOVE_SECONDS", 0.3)
    layer = make_layer(redis_server.url)
    with a_loop_in_a_thread() as other:
        channel = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(layer.new_channel(), other))
        first = layer._binding._driver
        assert first is not None
        go_on = threading.Event()
        other.call_soon_threadsafe(go_on.wait)
        receiving = asyncio.create_task(soon(layer, "work", SECONDS))
        async with asyncio.timeout(SECONDS):
            turns = 0
            while layer._binding._driver in (first, None):
                turns += layer._binding._driver is None  # nobody has the connections: the other loop is waited for
                await asyncio.sleep(0)
        assert turns, "the loop that waits for another goes on itself"
        second = layer._binding._driver
        assert first.stopped
        go_on.set()
        # The other loop has had its turns by the time that a call through it comes back; it is handed over to this one.
        sending = asyncio.run_coroutine_threadsafe(layer.send(channel, {"type": "word"}), other)
        await asyncio.wrap_future(sending)
        assert await soon(layer, channel, SECONDS) == {"type": "word"}
        assert layer._binding._driver is second
        assert first._tick_task is not None
        assert first._tick_task.done()
        await layer.send("work", {"type": "job"})
        assert await receiving == {"type": "job"}


def test_a_child_is_a_process_of_its_own_even_where_the_parents_connections_cannot_be_closed(
    redis_server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Driver) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def used() -> list[RedisChannelLayer]:
        layers = [RedisChannelLayer(hosts=[redis_server.url]) for _ in range(2)]
        for layer in layers:
            await layer.new_channel()
        return layers

    loop = asyncio.new_event_loop()
    layers = loop.run_until_complete(used())
    read, write = os.pipe()
    monkeypatch.setattr(Driver, "sever", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the process has threads, as prefork servers have
        child = os.fork()
    if child == 0:
        try:
            os.write(write, " ".join(layer.client_prefix for layer in layers).encode())
        finally:
            os._exit(0)
    monkeypatch.undo()
    os.close(write)
    with os.fdopen(read) as answers:
        prefixes = answers.read().split()
    os.waitpid(child, 0)
    assert len({*prefixes, *(layer.client_prefix for layer in layers)}) == 4
    for layer in layers:
        loop.run_until_complete(layer.close())
    loop.close()
