"""Shards that somebody else runs: their list reaches pods, a change rolls them, and from those the shards learn it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.cluster import Namespace
from tests.cluster.operator_bed import Gateway
from tests.cluster.test_image import redis
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")


def their_redis(namespace: Namespace, name: str) -> dict[str, Any]:
    """Run a Redis server of somebody else's, and return how a resource names it."""
    pod, service = redis()
    labels = {"app": name}
    pod["metadata"] = {"name": name, "labels": labels}
    service["metadata"] = {"name": name}
    service["spec"]["selector"] = labels
    namespace.apply(pod, service)
    namespace.wait_for("condition=Ready", f"pod/{name}")
    return {"name": name, "host": name}


def stored(namespace: Namespace, name: str) -> dict[str, Any]:
    """The host list on one of the servers."""
    key = next(iter(namespace.run(name, "redis-cli", "--raw", "KEYS", "*:hosts").split()), "none")
    found: dict[str, Any] = json.loads(namespace.run(name, "redis-cli", "--raw", "GET", key) or "{}")
    return found


@pytest.mark.timeout(600, func_only=True)
async def test_a_list_of_external_shards_reaches_pods_and_a_longer_one_every_process_and_shard(
    namespace: Namespace,
) -> None:
    first = their_redis(namespace, "one")
    gateway = Gateway(namespace, {"redis": {"external": {"hosts": [first]}}})
    gateway.apply()
    gateway.wait_for("Ready", "True")
    gateway.wait_for("HostsSynced", "True")
    assert gateway.condition("RedisHealthy")[:2] == ("Unknown", "External")
    assert not namespace.get("statefulsets")
    await gateway.chat()
    assert stored(namespace, "one")["epoch"] == 1

    second = their_redis(namespace, "two")

    def add() -> None:
        gateway.apply(redis={"external": {"hosts": [first, second]}})
        wait_until(lambda: gateway.status["hosts"]["shards"] == ["one", "two"], 60)
        gateway.wait_for("HostsSynced", "True", seconds=180)
        gateway.wait_for("Progressing", "False", seconds=180)

    add()
    await gateway.chat()
    for name in ("one", "two"):
        document = stored(namespace, name)
        assert [shard["name"] for shard in document["shards"]] == ["one", "two"]
        assert document["epoch"] >= 2
