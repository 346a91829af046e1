"""The operator's console through a forwarded port, in a real browser: what runs in a cluster, and a message's way.

What it saw is left in tests/artefacts/, wide and as on a phone.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.cluster import ClientPod, Cluster, Namespace
from tests.cluster.operator_bed import NAMESPACE, Gateway, operators
from tests.support.chromium import ARGUMENTS, CHROMIUM, NEEDS_CHROMIUM, WIDE, take_pictures

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
PORT = 9001
SHARDS = 2
CLIENTS = 5


@contextmanager
def forwarded(cluster: Cluster, target: str, port: int) -> Iterator[str]:
    """`kubectl port-forward` to a port of a pod; yields where it is here."""
    command = [cluster.program, "-n", NAMESPACE, "port-forward", target, f":{port}"]
    environment = {"KUBECONFIG": str(cluster.kubeconfig), **cluster.environment}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as run:
        try:
            assert run.stdout is not None
            said = run.stdout.readline()
            found = re.search(r"127\.0\.0\.1:(\d+)", said)
            assert found, said
            yield f"http://127.0.0.1:{found[1]}"
        finally:
            run.terminate()


def state(url: str, resource: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/api/state?resource={resource}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def opened(url: str) -> Iterator[playwright_api.Page]:
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport=WIDE)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        try:
            page.goto(url)
            yield page
        finally:
            browser.close()
        assert not complaints


@pytest.mark.usefixtures("operator")
@NEEDS_CHROMIUM
@pytest.mark.timeout(600, func_only=True)
def test_a_forwarded_port_shows_what_runs_of_each_resource_and_a_messages_way(namespace: Namespace) -> None:
    gateway = Gateway(namespace, {"telemetry": {"recentSpans": 500}})
    gateway.spec["redis"]["managed"] |= {"shards": SHARDS}
    gateway.apply()
    gateway.wait_until_ready()
    other = Gateway(namespace, {"replicas": 1}, name="shop")
    other.apply()
    other.wait_until_ready()
    asyncio.run(gateway.chat(clients=CLIENTS))
    resource = f"{namespace.name}/{gateway.name}"
    playwright_api.expect.set_options(timeout=30_000)
    expect = playwright_api.expect
    with forwarded(namespace.cluster, "deployment/realtime-gateway-operator", PORT) as url, opened(url) as page:
        links = page.get_by_role("navigation", name="Resources")
        expect(links.get_by_role("link", name=f"{namespace.name}/{other.name}")).to_be_visible()
        # By keyboard alone.
        page.get_by_role("link", name=resource).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=gateway.name, exact=True)).to_be_visible()
        expect(page.locator("#application li")).to_have_count(2)
        expect(page.locator("#application .ready")).to_have_count(2)
        expect(page.locator("#shards > li")).to_have_count(SHARDS)
        expect(page.locator("#shards .role.primary")).to_have_count(SHARDS)
        expect(page.locator("#others li", has_text="sentinel")).to_have_count(3)
        expect(page.locator("#conditions li", has_text="Ready")).to_contain_text("True")
        page.get_by_role("button", name=f"{SHARDS} → {SHARDS + 1}").click()
        expect(page.locator("#ring-words")).to_contain_text("of all keys moves")

        found = page.locator("#recent a", has_text=re.compile(r"publish chat_\{name\}")).first
        expect(found).to_contain_text("2 processes")
        found.click()
        expect(page.locator("#waterfall .what", has_text="websocket send")).to_have_count(CLIENTS)
        expect(page.locator("#application li", has_text="epoch 1")).to_have_count(2)
        take_pictures(page, "cluster-console", whole=True)

        # Each operator answers, whoever leads, with what the status says.
        for pod in operators(namespace.cluster):
            with forwarded(namespace.cluster, f"pod/{pod['metadata']['name']}", PORT) as another:
                told = state(another, resource)
                assert told["epoch"] == gateway.status["hosts"]["epoch"]
                assert {one["name"] for one in told["shards"]} == {"chat-redis-0", "chat-redis-1"}
                roles = [one["role"] for one in told["processes"] if one["kind"] == "redis"]
                assert sorted(roles) == sorted(["primary", "replica", "replica"] * SHARDS)


@pytest.mark.usefixtures("operator")
def test_no_other_pod_reaches_it(namespace: Namespace) -> None:
    client = ClientPod(namespace)
    for pod in operators(namespace.cluster):
        address = pod["status"]["podIP"]
        assert client.can_fetch(f"http://{address}:9000/metrics")
        assert not client.can_fetch(f"http://{address}:{PORT}/")
