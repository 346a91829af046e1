"""Notifications leave a view, a management command and a thread without a new connection to Redis for each."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.example_project import DIRECTORY, ExampleProject, visiting
from tests.support.redis_process import RedisProcess
from tests.support.server_process import PYTHON
from websockets.asyncio.client import ClientConnection

SECONDS = 20
MANY = 20


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture
def project(tmp_path: Path, redis: RedisProcess) -> ExampleProject:
    return ExampleProject(tmp_path, environment={"REDIS_URL": redis.url})


def connections_made(redis: RedisProcess) -> int:
    """How many connections the server has ever accepted, but for the one that asks."""
    with redis.client as client:
        return int(client.info("stats")["total_connections_received"]) - 1  # type: ignore[index]  # redis's union


class Connections:
    """Counts connections between two looks, without the looks themselves."""

    def __init__(self, redis: RedisProcess) -> None:
        self.redis = redis
        self.before = connections_made(redis) + 1  # the look that this is

    def new(self) -> int:
        found = connections_made(self.redis) - self.before
        self.before += found + 1
        return found


async def heard(client: ClientConnection, count: int) -> list[str]:
    async with asyncio.timeout(SECONDS):
        return [json.loads(await client.recv())["text"] for _ in range(count)]


async def test_from_a_view_and_a_signal(project: ExampleProject, redis: RedisProcess) -> None:
    with project.server("serve") as server:
        async with visiting(server.url) as visitor:
            await visitor.log_in("demo", "demo")
            async with visitor.websocket("/ws/notifications/") as client:
                await visitor.post("/", "/orders/")
                await heard(client, 1)
                connections = Connections(redis)
                for _ in range(MANY):
                    await visitor.post("/", "/orders/")
                assert await heard(client, MANY) == ["Your order “A pound of tea” is placed."] * MANY
                assert connections.new() == 0


SCRIPTS = {
    "a management command": """
for order in Order.objects.all():
    order.status = "shipped"
    order.save()
""",
    "a thread": """
import threading

def work():
    for order in Order.objects.all():
        order.status = "shipped"
        order.save()

thread = threading.Thread(target=work)
thread.start()
thread.join()
""",
    "many threads": """
import threading

def work(number):
    notify(User.objects.get(username="demo").pk, text=f"from thread {number}")

for number in range(20):
    thread = threading.Thread(target=work, args=[number])
    thread.start()
    thread.join()
""",
}
PREAMBLE = """
from django.contrib.auth.models import User
from chat.models import Order
from chat.notifications import notify
"""


@pytest.mark.parametrize("sender", SCRIPTS)
async def test_from(sender: str, project: ExampleProject, redis: RedisProcess) -> None:
    orders = f"""
from django.contrib.auth.models import User
from chat.models import Order
demo = User.objects.get(username="demo")
demo.orders.all().delete()
Order.objects.bulk_create([Order(user=demo, item="Tea", price=1) for _ in range({MANY})])
"""
    project.manage("shell", "-c", orders)
    with project.server("serve") as server:
        async with visiting(server.url) as visitor:
            await visitor.log_in("demo", "demo")
            async with visitor.websocket("/ws/notifications/") as client:
                # One look before, so that the process that sends makes all the connections that are counted.
                connections = Connections(redis)
                done = await asyncio.to_thread(run_script, project, PREAMBLE + SCRIPTS[sender])
                assert done.returncode == 0, done.stderr
                assert len(await heard(client, MANY)) == MANY
                # At most a pair of connections for the one process, whatever it sends.
                assert 1 <= connections.new() <= 2


def run_script(project: ExampleProject, script: str) -> subprocess.CompletedProcess[str]:
    environment: dict[str, Any] = {**os.environ, **project.environment}
    return subprocess.run(
        [PYTHON, "manage.py", "shell", "-c", script],
        cwd=DIRECTORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_of_the_example_notifies(project: ExampleProject) -> None:
    project.manage("shell", "-c", 'from chat.models import Order; Order.objects.update(status="paid")')
    with project.server("serve") as server:
        async with visiting(server.url) as visitor:
            await visitor.log_in("demo", "demo")
            async with visitor.websocket("/ws/notifications/") as client:
                said = await asyncio.to_thread(project.manage, "ship_orders")
                assert said == "Shipped A blue teapot to demo.\n"
                assert await heard(client, 1) == ["Your order “A blue teapot” is shipped."]
