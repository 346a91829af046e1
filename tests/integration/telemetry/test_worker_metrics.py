"""A worker's own numbers, as Prometheus scrapes them."""

from __future__ import annotations

import asyncio
import os

from prometheus_client.parser import text_string_to_metric_families
from tests.support.conditions import until
from tests.support.free_port import free_port
from tests.support.pages import get
from tests.support.redis_process import RedisProcess
from tests.support.traced_processes import Serve, client, running_worker, say

WAITED = "realtime_gateway_layer_queue_wait_seconds_count"


def samples(port: int) -> dict[str, float]:
    """The samples without labels, by name; none while nothing answers."""
    families = text_string_to_metric_families(get(f"http://127.0.0.1:{port}/metrics", seconds=5).text)
    return {one.name: one.value for family in families for one in family.samples if not one.labels}


async def test_a_worker_serves_what_it_has_done(serve: Serve, redis_server: RedisProcess) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "REDIS_URL": f"redis://127.0.0.1:{redis_server.port}",
        "REALTIME_GATEWAY_ADMIN_PORT": str(port),
        "DJANGO_SETTINGS_MODULE": "",
    }
    gateway = serve("a")
    with running_worker(environment):
        await until(lambda: samples(port), 30)
        async with client(gateway, "/chat/lobby/") as sender:
            await say(sender, "through a worker", sender)
        found = await asyncio.to_thread(samples, port)
    assert found[WAITED] == 1
    assert found["process_resident_memory_bytes"] > 0
