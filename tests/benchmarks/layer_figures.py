"""Figures of one layer in one process, each in a fresh one: `python -m tests.benchmarks.layer_figures '{"figure": …}'`.

It prints one JSON object. Clock times are medians, since another process on the machine lengthens some of them; beside
them stands the CPU of this process meanwhile, which another one hardly changes. The garbage collector runs as seldom as
in a process of `realtime-gateway serve`, whatever is measured.
"""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import redis
import redis.asyncio
from asgiref.sync import async_to_sync
from django.utils.module_loading import import_string

from tests.benchmarks.layer_alone import collect_garbage_seldom

TEXT = "x" * 80
MESSAGE = {"type": "chat.message", "message": TEXT}
AT_ONCE = 1000
SILENCE_SECONDS = 20
Answer = dict[str, float]


class Waited:
    """Times of blocks of code: on the clock, and of this process's CPU."""

    def __init__(self) -> None:
        self._times: list[tuple[float, float]] = []

    def __enter__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def __exit__(self, *error: object) -> None:
        clock, cpu = self._begun
        self._times.append((time.perf_counter() - clock, time.process_time() - cpu))

    def medians(self) -> Answer:
        """The middle ones, in ms."""
        # The first one also opens connections.
        clock, cpu = zip(*self._times[1:], strict=True)
        return {"ms": statistics.median(clock) * 1000, "cpu_ms": statistics.median(cpu) * 1000}


def make(backend: str, port: int, **options: Any) -> Any:
    """Make a layer on one server."""
    return import_string(backend)(hosts=[("127.0.0.1", port)], **options)


async def members_of(layer: Any, number: int, groups: int = 1) -> list[str]:
    """Make channels, each in one of the groups."""
    channels = [await layer.new_channel() for _ in range(number)]
    for index, channel in enumerate(channels):
        await layer.group_add(f"group{index % groups}", channel)
    return channels


async def fan_out(backend: str, port: int, members: int, sends: int) -> Answer:
    """How long the sender waits for a group of so many members, all of them in this process."""
    layer = make(backend, port)
    channels = await members_of(layer, members)
    arrived = asyncio.Semaphore(0)

    async def read(channel: str) -> None:
        while True:
            # Upstream's receivers may be cut off by a timeout of the client library.
            with suppress(redis.RedisError):
                await layer.receive(channel)
                arrived.release()

    readers = [asyncio.create_task(read(channel)) for channel in channels]
    waited = Waited()
    for _ in range(sends + 1):
        await asyncio.sleep(0)
        with waited:
            await layer.group_send("group0", MESSAGE)
        with suppress(TimeoutError):
            async with asyncio.timeout(SILENCE_SECONDS):
                for _ in range(members):
                    await arrived.acquire()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return waited.medians()


async def publish(backend: str, port: int, messages: int, at_once: int = AT_ONCE) -> Answer:
    """How fast one process sends to a group with a member elsewhere, so many at a time.

    Upstream opens a connection for each of them.
    """
    layer = make(backend, port)
    # Binds ours to this loop, as every process that has sockets does; upstream's needs nobody to send to.
    await layer.new_channel()

    async def send(number: int) -> None:
        await asyncio.gather(*(layer.group_send("room", MESSAGE) for _ in range(number)))

    async with _elsewhere(figure="listen", backend=backend, port=port):
        return await _rate(send, messages, at_once)


async def listen(backend: str, port: int) -> None:
    """A member of the group, in a process of its own, until its input ends."""
    layer = make(backend, port, capacity=10)
    await layer.group_add("room", await layer.new_channel())
    await _until_told()


async def listen_raw(port: int, **_: object) -> None:
    """A subscriber, in a process of its own, until its input ends."""
    async with redis.asyncio.Redis(port=port) as client, client.pubsub() as subscription:
        await subscription.subscribe("room")
        reader = asyncio.create_task(_read_all(subscription))
        await _until_told()
        await _end([reader])


async def _read_all(subscription: Any) -> None:
    while True:
        await subscription.get_message(timeout=None)


async def _until_told() -> None:
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def _elsewhere(**figure: object) -> AsyncIterator[None]:
    """Run a figure that listens in another process, beside Redis and not beside what is measured."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.benchmarks.layer_figures", json.dumps(figure),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    # It has this process's core by inheritance, and must not have it from now on.
    mine = psutil.Process().cpu_affinity() or []
    others = [core for core in range(psutil.cpu_count() or 1) if core not in mine]
    psutil.Process(process.pid).cpu_affinity(others or mine)
    try:
        await process.stdout.readline()
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def publish_raw(backend: str, port: int, messages: int) -> Answer:
    """The same number of bare PUBLISH, in pipelines of redis-py."""
    client = redis.asyncio.Redis(port=port)
    body = json.dumps(MESSAGE).encode()

    async def send(number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        for _ in range(number):
            pipeline.publish("room", body)
        await pipeline.execute()

    async with client, _elsewhere(figure="listen_raw", port=port):
        return await _rate(send, messages, AT_ONCE)


async def _rate(send: Callable[[int], Awaitable[None]], messages: int, at_once: int) -> Answer:
    await send(at_once)
    cpu, started, sent = time.process_time(), time.perf_counter(), 0
    while sent < messages:
        await send(at_once)
        sent += at_once
    cpu, seconds = time.process_time() - cpu, time.perf_counter() - started
    return {"per_second": sent / seconds, "cpu_us": cpu / sent * 1e6}


def synchronous(backend: str, port: int, calls: int) -> Answer:
    """How long a view waits that calls `async_to_sync(layer.group_send)`, and what it opens."""
    layer = make(backend, port)
    send = async_to_sync(layer.group_send)
    send("room", MESSAGE)
    with redis.Redis(port=port) as client:
        before = client.info("stats")["total_connections_received"]
        waited = Waited()
        for _ in range(calls):
            with waited:
                send("room", MESSAGE)
        opened = client.info("stats")["total_connections_received"] - before
    async_to_sync(layer.close_pools)()
    return {**waited.medians(), "connections": opened}


def synchronous_nothing(calls: int, **_: object) -> Answer:
    """How long the same takes with a coroutine that does nothing: what Django's bridge alone costs."""

    async def nothing() -> None:
        return None

    call, waited = async_to_sync(nothing), Waited()
    for _number in range(calls):
        with waited:
            call()
    return waited.medians()


async def idle_members(backend: str, port: int, members: int) -> Answer:
    """Memory of members who wait for a message, on top of a consumer that waits for nothing."""
    layer = make(backend, port)
    await members_of(layer, 10)

    async def without() -> None:
        await asyncio.get_running_loop().create_future()

    empty = _memory()
    tasks = [asyncio.create_task(without()) for _ in range(members)]
    await asyncio.sleep(0)
    bare = _memory() - empty
    # They stay, so that what they take is not used again.
    before = _memory()
    channels = await members_of(layer, members, groups=100)
    tasks += [asyncio.create_task(layer.receive(channel)) for channel in channels]
    await asyncio.sleep(0)
    answer = {"bytes": (_memory() - before - bare) / members}
    await _end(tasks)
    return answer


async def idle_groups(backend: str, port: int, groups: int) -> Answer:
    """Memory in Redis of a group that has a member and no messages, and of one that had one message."""
    layer = make(backend, port)
    channel = await layer.new_channel()
    with redis.Redis(port=port) as client:
        before = client.info("memory")["used_memory"]
        for number in range(groups):
            await layer.group_add(f"group{number}", channel)
        joined = client.info("memory")["used_memory"]
        await asyncio.gather(*(layer.group_send(f"group{number}", MESSAGE) for number in range(groups)))
        used = client.info("memory")["used_memory"]
        life = max(client.ttl(key) for key in client.scan_iter("asgi:g*", count=1000))
    return {"joined": (joined - before) / groups, "used": (used - joined) / groups, "life_seconds": life}


async def burst(backend: str, port: int, messages: int) -> Answer:
    """A burst to one process that reads nothing until all of it is there: memory before, at the height and after."""
    layer = make(backend, port, capacity=messages)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    # The first burst makes what stays for the next one: the allocator's arenas, the tables of the interpreter.
    answer: Answer = {}
    for _ in range(2):
        before = _memory()
        flood = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.layer_figures",
            json.dumps({"figure": "publish_burst", "backend": backend, "port": port, "messages": messages}),
            stdout=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await flood.wait()
        await asyncio.sleep(0.2)
        height = _memory()
        received = 0
        with suppress(TimeoutError):
            while received < messages:
                await asyncio.wait_for(layer.receive(channel), 5)
                received += 1
        after = _memory()
        mib = 1024 * 1024
        answer = {"received": received, "height_mib": (height - before) / mib, "left_mib": (after - before) / mib}
    return answer


async def publish_burst(backend: str, port: int, messages: int) -> Answer:
    """The sender of a burst."""
    layer = make(backend, port)
    for _ in range(messages // AT_ONCE):
        await asyncio.gather(*(layer.group_send("room", MESSAGE) for _ in range(AT_ONCE)))
    await layer.close_pools()
    return {}


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _memory() -> int:
    gc.collect()
    used: int = psutil.Process().memory_info().rss
    return used


# What runs beside a figure, in a process of its own.
LISTENERS: dict[str, Callable[..., Any]] = {"listen": listen, "listen_raw": listen_raw}
FIGURES: dict[str, Callable[..., Any]] = {
    one.__name__: one
    for one in (
        fan_out,
        publish,
        publish_raw,
        synchronous,
        synchronous_nothing,
        idle_members,
        idle_groups,
        burst,
        publish_burst,
    )
}


def main() -> None:
    """Read what to measure from the command line and print it."""
    collect_garbage_seldom()
    arguments = json.loads(sys.argv[1])
    measured = {**FIGURES, **LISTENERS}[arguments.pop("figure")](**arguments)
    answer = asyncio.run(measured) if asyncio.iscoroutine(measured) else measured
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
