"""Calls of threads, and receivers that wait, outlive the loop or the connections that they came to first."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count as count_from

import pytest
from asgiref.sync import async_to_sync
from tests.support.conditions import wait_until
from tests.support.receiving import soon
from tests.support.redis_process import RedisProcess

from realtime_gateway.consumers.dispatching import Waker
from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
SECONDS = 30.0


def stored(server: RedisProcess, group: str) -> int:
    with server.client as client:
        return int(client.xlen(f"asgi:g:{group}"))


def wait_for_more(ended: Counter[str]) -> None:
    sent = ended["sent"]
    wait_until(lambda: ended["sent"] > sent)


@contextmanager
def a_member_elsewhere(server: RedisProcess, group: str) -> Iterator[list[int]]:
    """The numbers that another process's member of a group has got."""
    layer, got = RedisChannelLayer(hosts=[server.url], capacity=100_000), []
    ready, ends = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def listen() -> None:
        channel = await layer.new_channel()
        await layer.group_add(group, channel)
        ready.set()
        while True:
            got.append((await layer.receive(channel))["n"])

    async def live() -> None:
        listening = asyncio.create_task(listen())
        await ends.wait()
        listening.cancel()
        await asyncio.wait((listening,))
        await layer.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),), daemon=True)
    thread.start()
    assert ready.wait(SECONDS)
    yield got
    loop.call_soon_threadsafe(ends.set)
    thread.join(SECONDS)
    loop.close()


@contextmanager
def threads_that_send(layer: RedisChannelLayer, group: str, count: int) -> Iterator[Counter[str]]:
    """Threads that send over and over; how each call ended is counted. All of them come to their end."""
    ended: Counter[str] = Counter()
    numbers = count_from()
    stop = threading.Event()

    def send() -> None:
        while not stop.is_set():
            try:
                async_to_sync(layer.group_send)(group, {"type": "x", "n": next(numbers)})
                ended["sent"] += 1
            except BaseException as error:  # whatever it is, it is looked at
                ended[type(error).__name__] += 1

    threads = [threading.Thread(target=send, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield ended
    finally:
        stop.set()
        for thread in threads:
            thread.join(SECONDS)
    assert not [thread for thread in threads if thread.is_alive()], "a call has not come back"


def test_threads_go_on_sending_while_loops_that_receive_come_and_go(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url], send_timeout=20)

    async def ask() -> None:
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "answer"})
        await soon(layer, channel, SECONDS)
        await layer.forget(channel)

    with a_member_elsewhere(redis_server, "comings") as got:
        with threads_that_send(layer, "comings", 3) as ended:
            for _ in range(15):
                asyncio.run(ask())
                wait_for_more(ended)
        assert set(ended) == {"sent"}
        wait_until(lambda: len(got) >= ended["sent"])
        assert sorted(got) == list(range(ended["sent"])), "each is sent, and none twice"
    asyncio.run(layer.close())


def test_a_call_that_waits_when_its_loop_ends_is_answered_by_the_next() -> None:
    answers: list[object] = []
    with RedisProcess() as server:
        layer = RedisChannelLayer(hosts=[server.url], send_timeout=60)

        def send() -> None:
            try:
                answers.append(async_to_sync(layer.group_send)("room", {"type": "x"}))
            except BaseException as error:
                answers.append(error)

        thread = threading.Thread(target=send, daemon=True)

        async def receive_meanwhile() -> None:
            await layer.new_channel()
            await layer.group_send("other", {"type": "x"})
            server.pause()
            number = layer._binding.state.machine.last_sequence
            thread.start()
            async with asyncio.timeout(SECONDS):
                while layer._binding.state.machine.last_sequence == number:
                    await asyncio.sleep(0.01)

        asyncio.run(receive_meanwhile())
        server.resume()
        thread.join(SECONDS)
        assert answers == [None]
        assert stored(server, "room") >= 1
        asyncio.run(layer.close())


def test_a_call_that_a_loop_never_began_is_made_once_elsewhere(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url])
    loop = asyncio.new_event_loop()
    runs = threading.Thread(target=loop.run_forever)
    runs.start()
    asyncio.run_coroutine_threadsafe(layer.new_channel(), loop).result(SECONDS)
    asyncio.run_coroutine_threadsafe(layer.group_send("other", {"type": "x"}), loop).result(SECONDS)
    driver = layer._binding._driver
    assert driver is not None
    go_on = threading.Event()

    def end_this_turn() -> None:
        loop.stop()
        go_on.wait(SECONDS)

    loop.call_soon_threadsafe(end_this_turn)
    sends = threading.Thread(target=async_to_sync(layer.group_send), args=("never", {"type": "x"}), daemon=True)
    sends.start()
    wait_until(lambda: bool(driver.errands._held))
    go_on.set()
    runs.join(SECONDS)
    sends.join(SECONDS)
    assert not sends.is_alive()
    loop.run_until_complete(asyncio.wait(asyncio.all_tasks(loop)))  # it runs again, and has nothing to send
    loop.close()
    assert stored(redis_server, "never") == 1
    asyncio.run(layer.close())


def test_a_layer_that_one_thread_closes_goes_on_sending_for_the_others(redis_server: RedisProcess) -> None:
    layer = RedisChannelLayer(hosts=[redis_server.url], send_timeout=20)
    with threads_that_send(layer, "closed", 3) as ended:
        for _ in range(15):
            async_to_sync(layer.close)()
            wait_for_more(ended)
    assert set(ended) <= {"sent", ShardUnavailable.__name__}
    assert stored(redis_server, "closed") >= ended["sent"]
    async_to_sync(layer.close)()


@pytest.mark.parametrize("queue", [False, True], ids=["an own channel", "a normal channel"])
async def test_a_receiver_that_waits_is_heard_again_after_a_thread_has_closed_the_layer(
    redis_server: RedisProcess, make_layer: Make, queue: bool
) -> None:
    layer, other = make_layer(redis_server.url), make_layer(redis_server.url)
    own = await layer.new_channel()
    channel = "work" if queue else own
    receiving = asyncio.create_task(soon(layer, channel, SECONDS))
    async with asyncio.timeout(SECONDS):
        while not layer._binding.state.mailboxes.any_reader():
            await asyncio.sleep(0.01)
    await asyncio.to_thread(async_to_sync(layer.close_pools))
    await other.send(channel, {"type": "after"})
    assert await receiving == {"type": "after"}


async def test_who_looks_into_a_channel_is_woken_when_a_thread_has_closed_the_layer(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer, other = make_layer(redis_server.url), make_layer(redis_server.url)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    source, waker = layer.source(channel), Waker(asyncio.get_running_loop())
    assert source is not None
    source.attend(waker)
    assert source.reach()
    assert source.take() is None
    closing = asyncio.create_task(asyncio.to_thread(async_to_sync(layer.close_pools)))
    async with asyncio.timeout(SECONDS):
        await waker
        await closing
    assert not source.reach(), "receive brings the connections back"
    box = layer._binding.state.mailboxes.get(channel)
    assert box is not None
    assert box.attendees == (), "else nobody could ever drop it"
    receiving = asyncio.create_task(soon(layer, channel, SECONDS))
    await other.group_send("room", {"type": "after"})
    assert await receiving == {"type": "after"}
    assert source.reach()


def test_what_a_task_sends_as_its_loop_ends_is_sent(redis_server: RedisProcess) -> None:
    """``asyncio.run`` cancels all tasks, those of the layer among them, and waits for what they do about it."""

    async def be_there(layer: RedisChannelLayer) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await layer.group_send("presence", {"type": "left"})

    async def main() -> None:
        layer = RedisChannelLayer(hosts=[redis_server.url])
        await layer.new_channel()
        tasks.append(asyncio.create_task(be_there(layer)))
        await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive()
    assert stored(redis_server, "presence") == 1


async def test_whoever_waits_hears_of_a_close_that_is_cancelled_midway(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, other = make_layer(redis_server.url), make_layer(redis_server.url)
    channel = await layer.new_channel()
    await layer.group_send("room", {"type": "first"})
    driver = layer._binding.driver_here()
    assert driver is not None
    ending, stop = asyncio.Event(), driver.links.stop

    async def stop_slowly() -> None:
        await stop()
        ending.set()
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(driver.links, "stop", stop_slowly)
    receiving = asyncio.create_task(soon(layer, channel, SECONDS))
    closing = asyncio.create_task(layer.close())
    await ending.wait()
    closing.cancel()
    await asyncio.wait((closing,))
    await other.send(channel, {"type": "after"})
    assert await receiving == {"type": "after"}
