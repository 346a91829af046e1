"""Servers that fork after the layer was made and used, and processes that only send: gunicorn, Celery, autoreload."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.conditions import wait_until
from tests.support.fetched import fetched_library
from tests.support.redis_process import RedisProcess
from tests.support.server_process import ServerProcess

from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]

# What each of the programs below begins with: made and used before anything is forked.
PREAMBLE = """
import os, sys
from asgiref.sync import async_to_sync
from realtime_gateway.layer import RedisChannelLayer

layer = RedisChannelLayer(hosts=os.environ["SHARDS"].split(","))
send = async_to_sync(layer.group_send)
send("room", {"type": "master", "pid": os.getpid()})
"""

WSGI = (
    PREAMBLE
    + """
add, discard = async_to_sync(layer.group_add), async_to_sync(layer.group_discard)

def application(environ, start_response):
    _, action, argument = environ["PATH_INFO"].split("/")
    if action == "send":
        send("room", {"type": "worker", "pid": os.getpid(), "n": int(argument)})
    elif action == "add":
        add("another", argument)
    elif action == "discard":
        discard("another", argument)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Connection", "close")])
    return [str(os.getpid()).encode()]
"""
)

TASKS = (
    PREAMBLE
    + """
from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True

@app.task(name="notify")
def notify(number):
    send("room", {"type": "worker", "pid": os.getpid(), "n": number})
"""
)

RELOADED = (
    PREAMBLE
    + """
import asyncio
import django
from django.conf import settings
from django.utils.autoreload import run_with_reloader

def main():
    settings.configure()
    django.setup()

    async def receive():
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_send("room", {"type": "worker", "pid": os.getpid(), "n": 0})
        while True:
            await layer.receive(channel)
    asyncio.run(receive())

if __name__ == "__main__":
    run_with_reloader(main)
"""
)


@pytest.fixture(scope="module")
def shards() -> Iterator[tuple[RedisProcess, ...]]:
    with RedisProcess() as first, RedisProcess() as second:
        yield first, second


@contextmanager
def running(command: list[str], directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def environment_of(shards: tuple[RedisProcess, ...], **more: str) -> dict[str, str]:
    # The tests' own settings mean nothing in a directory of its own.
    base = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return {**base, "SHARDS": ",".join(shard.url for shard in shards), "PYTHONWARNINGS": "ignore", **more}


def connections(shards: tuple[RedisProcess, ...]) -> int:
    count = 0
    for shard in shards:
        with shard.client as client:
            count += len(client.client_list()) - 1
    return count


async def collected(layer: RedisChannelLayer, channel: str, count: int) -> list[dict[str, Any]]:
    """Receive until so many messages of workers have come."""
    got: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        while sum(message["type"] == "worker" for message in got) < count:
            got.append(await layer.receive(channel))
    return got


async def test_gunicorns_preloaded_workers_send_each_message_once_and_change_groups_elsewhere(
    shards: tuple[RedisProcess, ...], make_layer: Make, tmp_path: Path
) -> None:
    layer = make_layer(*(shard.url for shard in shards), capacity=1000)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    (tmp_path / "site_wsgi.py").write_text(WSGI)

    def command(port: int) -> list[str]:
        return [
            sys.executable, "-m", "gunicorn", "--preload", "--workers", "3", "--bind", f"127.0.0.1:{port}",
            "site_wsgi:application",
        ]  # fmt: skip

    with ServerProcess(command, tmp_path, environment_of(shards), ready="/ready/-") as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
            answers = await asyncio.gather(*(client.get(f"/send/{number}") for number in range(60)))
            pids = {int(answer.text) for answer in answers}
            got = await collected(layer, channel, 60)
            # A WSGI process changes the groups of a consumer that lives in this one.
            assert (await client.get(f"/add/{channel}")).is_success
            await layer.group_send("another", {"type": "worker", "n": 60})
            assert (await collected(layer, channel, 1))[0]["n"] == 60
            assert (await client.get(f"/discard/{channel}")).is_success
            await layer.group_send("another", {"type": "worker", "n": 61})
            await layer.send(channel, {"type": "worker", "n": 62})
            assert (await collected(layer, channel, 1))[0]["n"] == 62
        # Two connections for each process and shard, the master among them, however many requests there were.
        assert await asyncio.to_thread(connections, shards) <= 2 * len(shards) * (1 + 1 + 3)
    workers = [message for message in got if message["type"] == "worker"]
    masters = {message["pid"] for message in got if message["type"] == "master"}
    assert Counter(message["n"] for message in workers) == Counter(range(60))
    assert {message["pid"] for message in workers} == pids
    assert len(pids) > 1
    assert len(masters) == 1
    assert not masters & pids


async def test_celerys_forked_workers_send_each_message_once(
    shards: tuple[RedisProcess, ...], make_layer: Make, tmp_path: Path
) -> None:
    # With its own dependencies, which do not go together with those of the tests.
    library = fetched_library("celery>=5.5", "redis")
    layer = make_layer(*(shard.url for shard in shards), capacity=1000)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    (tmp_path / "tasks.py").write_text(TASKS)
    environment = environment_of(shards, BROKER=f"{shards[0].url}/5", PYTHONPATH=str(library))
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "prefork", "-c", "2", "-l", "info"]
    call = "import tasks; [tasks.notify.delay(number) for number in range(40)]"
    with running(command, tmp_path, environment) as worker:
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", call], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        try:
            got = await collected(layer, channel, 40)
        except TimeoutError:
            pytest.fail((tmp_path / "log").read_text())
        assert worker.poll() is None
    workers = [message for message in got if message["type"] == "worker"]
    assert Counter(message["n"] for message in workers) == Counter(range(40))
    assert worker.pid not in {message["pid"] for message in workers}


async def test_a_program_that_reloads_itself_goes_on_and_leaves_no_connection(
    shards: tuple[RedisProcess, ...], make_layer: Make, tmp_path: Path
) -> None:
    layer = make_layer(*(shard.url for shard in shards))
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    program = tmp_path / "reloaded.py"
    program.write_text(RELOADED)
    counts, pids = [], set()
    with running([sys.executable, str(program)], tmp_path, environment_of(shards)):
        async with asyncio.timeout(90):
            while len(pids) < 3:
                try:
                    async with asyncio.timeout(2):
                        message = await layer.receive(channel)
                except TimeoutError:
                    # Changed again, since the watcher may not have looked at it yet.
                    now = program.stat().st_mtime + 10
                    os.utime(program, (now, now))
                    continue
                if message["type"] == "worker":
                    pids.add(message["pid"])
                    counts.append(await asyncio.to_thread(connections, shards))
    # The one that watches for changes and the one that is restarted, beside this process.
    assert max(counts) <= 2 * len(shards) * 3
    await asyncio.to_thread(wait_until, lambda: connections(shards) == 2 * len(shards))
