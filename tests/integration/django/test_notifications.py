"""Notifications leave a view, a management command and a thread without a new connection to Redis for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.support.example_project import ExampleProject, Visitor, visiting
from tests.support.redis_process import RedisProcess
from websockets.asyncio.client import ClientConnection

SECONDS = 20
MANY = 20


@dataclass(frozen=True)
class Site:
    """The example behind one server, over one Redis."""

    project: ExampleProject
    redis: RedisProcess
    url: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with RedisProcess() as redis:
        project = ExampleProject(tmp_path_factory.mktemp("site"), environment={"REDIS_URL": redis.url})
        with project.server("serve") as server:
            yield Site(project, redis, server.url)


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


@asynccontextmanager
async def notified(site: Site) -> AsyncIterator[tuple[Visitor, ClientConnection]]:
    """Yield a logged-in visitor and the page that hears of what happens."""
    async with visiting(site.url) as visitor:
        await visitor.log_in("demo", "demo")
        async with visitor.websocket("/ws/notifications/") as page:
            yield visitor, page


async def test_from_a_view_and_a_signal(site: Site) -> None:
    async with notified(site) as (visitor, page):
        await visitor.post("/", "/orders/")
        await heard(page, 1)
        connections = Connections(site.redis)
        for _ in range(MANY):
            await visitor.post("/", "/orders/")
        assert await heard(page, MANY) == ["Your order “A pound of tea” is placed."] * MANY
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
    notify(demo.pk, text=f"from thread {number}")

for number in range(20):
    thread = threading.Thread(target=work, args=[number])
    thread.start()
    thread.join()
""",
}
# Orders of which nobody is told: bulk_create sends no signal.
PREAMBLE = f"""
from django.contrib.auth.models import User
from chat.models import Order
from chat.notifications import notify
demo = User.objects.get(username="demo")
demo.orders.all().delete()
Order.objects.bulk_create([Order(user=demo, item="Tea", price=1) for _ in range({MANY})])
"""


@pytest.mark.parametrize("sender", SCRIPTS)
async def test_from(sender: str, site: Site) -> None:
    async with notified(site) as (_, page):
        connections = Connections(site.redis)
        await asyncio.to_thread(site.project.manage, "shell", "-c", PREAMBLE + SCRIPTS[sender])
        assert len(await heard(page, MANY)) == MANY
        # At most a pair for the one process, whatever it sends.
        assert 1 <= connections.new() <= 2


async def test_from_the_examples_own_command(site: Site) -> None:
    orders = 'demo.orders.all().delete(); Order(user=demo, item="Tea", price=1, status="paid").save()'
    await asyncio.to_thread(site.project.manage, "shell", "-c", PREAMBLE + orders)
    async with notified(site) as (_, page):
        said = await asyncio.to_thread(site.project.manage, "ship_orders")
        assert said == "Shipped Tea to demo.\n"
        assert await heard(page, 1) == ["Your order “Tea” is shipped."]
