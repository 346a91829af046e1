"""The operator's console: real Redis servers and a real gateway, and objects as an API server would have told them.

What it saw is left in tests/artefacts/, wide and as on a phone. On a real cluster it is tested in tests/cluster.
"""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.integration.telemetry.conftest import redis_server, serve  # noqa: F401  (fixtures)
from tests.support.chromium import NEEDS_CHROMIUM_AND_REDIS, WIDE, take_pictures, uncomplaining_page
from tests.support.conditions import wait_until
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess
from tests.support.traced_processes import Serve
from websockets.sync.client import connect

from realtime_gateway.hosts import HostList, Shard
from realtime_operator.console import cluster_source
from realtime_operator.console.serving import serving
from realtime_operator.objects.accounts import USERS
from realtime_operator.observe import observing
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.options import read_options

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
pytestmark = NEEDS_CHROMIUM_AND_REDIS

PASSWORD = "of-a-test"
# Addresses of this machine alone, in the place of those that a cluster gives to Services.
ADDRESSES = {"chat-redis-0-0": "127.0.2.10", "chat-redis-0-1": "127.0.2.11", "chat-redis-1-0": "127.0.2.12"}
POD = "chat-5d9c-hq2vx"
WITHOUT_IMAGE = "chat-5d9c-zz9pl"


@contextmanager
def redis_servers(port: int) -> Iterator[None]:
    """The servers of two shards, the first of which has a replica; they know the operator by its password."""
    operator = ("--user", "operator", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    first, replica, second = (RedisProcess(*operator, host=address, port=port) for address in ADDRESSES.values())
    with first, second, ExitStack() as stack:
        stack.callback(replica.stop)
        replica.start_as_replica_of(first)
        wait_until(lambda: replica.info("replication")["master_link_status"] == "up", 30)
        yield


def hosts(port: int) -> HostList:
    shards = {"chat-redis-0": "chat-redis-0-0", "chat-redis-1": "chat-redis-1-0"}
    return HostList(
        4, tuple(Shard(name, 1.0, {"host": ADDRESSES[server], "port": port}) for name, server in shards.items())
    )


def cache_of(port: int) -> ObjectCache:
    """What an API server would have told of two resources, one of which runs."""
    cache = ObjectCache()
    for namespace, name in (("town", "chat"), ("town", "shop")):
        cache.put(resource(namespace, name))
    owner = [{"kind": "RealtimeGateway", "name": "chat", "uid": "uid-chat"}]

    def put(kind: str, name: str, **more: Any) -> None:
        metadata = {"name": name, "namespace": "town", "uid": f"uid-{name}", "ownerReferences": owner}
        cache.put({"kind": kind, "metadata": {**metadata, **more.pop("metadata", {})}, **more})

    secret = {user: base64.b64encode(PASSWORD.encode()).decode() for user in USERS}
    put("Secret", "chat-redis-passwords", data=secret)
    put("ConfigMap", "chat-hosts", data={"hosts.json": hosts(port).to_json()})
    for name, address in ADDRESSES.items():
        put("Service", name, spec={"clusterIP": address})
        put("Pod", name, **pod("redis"))
    for ordinal in range(3):
        put("Pod", f"chat-sentinel-{ordinal}", **pod("sentinel"))
    put("Pod", POD, **pod("gateway", podIP="127.0.0.1"))
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}, "restartCount": 2}
    put("Pod", WITHOUT_IMAGE, **pod("gateway", ready="False", containerStatuses=[waiting]))
    return cache


def resource(namespace: str, name: str) -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Ready", "message": ""},
        {"type": "Progressing", "status": "True", "reason": "RollingOut", "message": "1 of 2 pods is new."},
        {"type": "Paused", "status": "False", "reason": "Running", "message": "Changes are carried out."},
    ]
    return {
        "kind": "RealtimeGateway",
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1},
        "spec": {"application": "traced:application", "redis": {"managed": {"shards": 2, "replicas": 1}}},
        "status": {"conditions": conditions},
    }


def pod(component: str, ready: str = "True", **status: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/instance": "chat", "app.kubernetes.io/component": component}
    return {
        "metadata": {"labels": labels},
        "status": {"conditions": [{"type": "Ready", "status": ready}], **status},
    }


@contextmanager
def console(cache: ObjectCache) -> Iterator[str]:
    """The operator's own server of the page, on a loop of its own."""
    port, started, loop = free_port(), threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()
    needed = {"REALTIME_GATEWAY_OPERATOR_NAMESPACE": "rtg", "REALTIME_GATEWAY_OPERATOR_IMAGE": "gateway:1"}
    options = read_options({**needed, "REALTIME_GATEWAY_OPERATOR_CONSOLE_PORT": str(port)})
    client: Any = None  # it writes nothing, and reads from the cache

    async def run() -> None:
        async with serving(options, client, cache, time.monotonic):
            started.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert started.wait(30)
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def test_the_page_shows_each_resource_of_a_cluster_and_a_messages_way(
    browser: playwright_api.Browser,
    serve: Serve,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setattr(observing, "REDIS_PORT", port)
    file = tmp_path / "hosts.json"
    file.write_text(hosts(port).to_json())
    with redis_servers(port), console(cache_of(port)) as url, ExitStack() as stack:
        gateway = serve(POD, more={"recentSpans": 500}, REALTIME_GATEWAY_CONFIG=str(file))
        monkeypatch.setattr(cluster_source, "ADMIN_PORT", gateway.admin_port)
        page = stack.enter_context(uncomplaining_page(browser, viewport=WIDE))
        page.goto(url)
        expect(page.get_by_role("navigation", name="Resources").get_by_role("link")).to_have_count(2)
        # By keyboard alone.
        page.get_by_role("link", name="town/chat").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="chat", exact=True)).to_be_visible()
        expect(page.get_by_role("link", name="town/chat")).to_have_attribute("aria-current", "page")
        expect(page.locator("#conditions li", has_text="Progressing")).to_contain_text("1 of 2 pods is new.")
        expect(page.locator("#conditions li.late")).to_have_count(1)  # not what is as it should be

        with connect(f"{gateway.websocket_url}/chat/lobby/", proxy=None) as alice:
            alice.send("hello")
            assert "hello" in str(alice.recv(timeout=30))
            running = page.locator("#application li", has_text=POD.removeprefix("chat-"))
            expect(running).to_contain_text("1 connection")
            expect(running).to_contain_text("epoch 4")
        trouble = page.locator("#application li", has_text=WITHOUT_IMAGE.removeprefix("chat-"))
        expect(trouble).to_contain_text("starting: ImagePullBackOff no such image")
        expect(trouble).to_contain_text("2 restarts")

        first = page.locator("#shards > li", has_text="chat-redis-0")
        expect(first.locator(".server.primary")).to_contain_text(f"{ADDRESSES['chat-redis-0-0']}:{port}")
        expect(first.locator(".server.replica")).to_contain_text("redis-0-1")
        expect(page.locator("#shards .role.primary")).to_have_count(2)
        expect(page.locator("#others li", has_text="sentinel")).to_have_count(3)
        page.get_by_role("button", name="2 → 3").click()
        expect(page.locator("#ring-words")).to_contain_text("of all keys moves")

        page.locator("#recent a", has_text="publish chat_{name}").first.click()
        expect(page.locator("#waterfall .what", has_text="websocket send")).to_have_count(1)
        take_pictures(page, "cluster-console", whole=True)

        page.get_by_role("link", name="town/shop").click()
        expect(page.get_by_role("heading", name="shop", exact=True)).to_be_visible()
        expect(page.locator("#recent")).to_contain_text("No process keeps spans")
        page.goto(f"{url}/?resource=town/gone")
        expect(page.get_by_role("status").first).to_contain_text("There is no RealtimeGateway town/gone any more.")
