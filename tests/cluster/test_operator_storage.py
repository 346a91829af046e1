"""Shards with volumes: data outlives every pod of a shard, and the deletion policy says what outlives the resource."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import Gateway, assert_calm, warnings
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

REDIS_PODS = "app.kubernetes.io/component=redis"


def claims(namespace: Namespace) -> list[str]:
    return [claim["metadata"]["name"] for claim in namespace.get("persistentvolumeclaims")]


def in_redis(gateway: Gateway, *words: str) -> str:
    """Run a command on the primary of the first shard, as the operator."""
    namespace = gateway.namespace
    secret = namespace.get("secret/chat-redis-passwords")["data"]["operator"]
    host, _, port = gateway.status["shards"][0]["primary"].partition(":")
    login = ("--user", "operator", "--pass", base64.b64decode(secret).decode(), "--no-auth-warning")
    return namespace.run("chat-redis-0-0", "redis-cli", "-h", host, "-p", port, *login, *words).strip()


def with_storage(namespace: Namespace, **spec: Any) -> Gateway:
    gateway = Gateway(namespace, spec)
    gateway.spec["redis"]["managed"]["storage"] = {"size": "64Mi"}
    return gateway


@pytest.mark.timeout(600, func_only=True)
async def test_data_on_volumes_outlives_all_pods_at_once_and_goes_with_the_resource_unless_it_is_retained(
    namespace: Namespace,
) -> None:
    gateway = with_storage(namespace, deletionPolicy="Retain")
    gateway.apply()
    gateway.wait_until_ready(180)
    volumes = [f"data-chat-redis-0-{ordinal}" for ordinal in range(3)]
    assert claims(namespace) == volumes
    # As the layer writes: by a script of two commands, which stands in the file as a transaction.
    script = "redis.call('SET', KEYS[1], 'yes') redis.call('SET', KEYS[2], 'yes')"
    in_redis(gateway, "EVAL", script, "2", "kept", "as well")

    before = {pod["metadata"]["uid"] for pod in redis_pods(namespace)}
    namespace.kubectl("delete", "pods", "-l", REDIS_PODS, "--wait=false")
    wait_until(
        lambda: len(redis_pods(namespace)) == 3 and not before & {uid(pod) for pod in redis_pods(namespace)}, 120
    )
    namespace.kubectl("wait", "--for=condition=Ready", "pods", "-l", REDIS_PODS, "--timeout=120s")
    gateway.wait_until_ready(180)
    namespace.wait_for_rollout("deployment/chat", 120)  # its pods are not ready while no shard answers
    assert in_redis(gateway, "MGET", "kept", "as well").split() == ["yes", "yes"]
    await gateway.chat()

    namespace.kubectl("delete", "realtimegateway/chat")
    wait_until(lambda: not gateway.owned(), 90)
    assert claims(namespace) == volumes

    # Made again under its name, it finds its data; and with the other policy it takes everything with it.
    again = with_storage(namespace, deletionPolicy="Delete")
    again.apply()
    again.wait_until_ready(180)
    assert in_redis(again, "GET", "kept") == "yes"
    namespace.kubectl("delete", "realtimegateway/chat")
    wait_until(lambda: not again.owned() and not claims(namespace), 120)


def redis_pods(namespace: Namespace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = namespace.get("pods", "-l", REDIS_PODS)
    return found


def uid(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["uid"])


@pytest.mark.parametrize("binding", ["Immediate", "WaitForFirstConsumer"])
def test_a_volume_that_nobody_provisions_is_named(namespace: Namespace, cluster: Cluster, binding: str) -> None:
    name = f"nobody-{namespace.name}"
    storage_class = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    cluster.apply({**storage_class, "provisioner": "example.com/nobody", "volumeBindingMode": binding})
    try:
        gateway = with_storage(namespace)
        gateway.spec["redis"]["managed"]["storage"]["className"] = name
        gateway.apply()
        message = gateway.wait_for("Degraded", "True", "VolumePending")
        assert "chat-redis-0-" in message
        assert gateway.condition("RedisHealthy")[0] != "True"
        assert warnings(namespace, "VolumePending")
        assert_calm(gateway)
    finally:
        cluster.kubectl("delete", "storageclass", name)


def test_a_storage_class_that_is_not_there_is_named(namespace: Namespace) -> None:
    gateway = with_storage(namespace)
    gateway.spec["redis"]["managed"]["storage"]["className"] = "no-such-class"
    gateway.apply()
    assert "chat-redis-0-" in gateway.wait_for("Degraded", "True", "VolumePending")
    assert warnings(namespace, "VolumePending")
    assert_calm(gateway)
