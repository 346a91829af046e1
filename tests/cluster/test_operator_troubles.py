"""What stands in the way of pods and of the operator itself: the condition names it, and mending it is enough."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster import images
from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import NAMESPACE, Gateway, assert_calm, operators, place, warnings
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

ROLE = "clusterrole/realtime-gateway-operator"


def with_redis_image(namespace: Namespace, image: str) -> Gateway:
    gateway = Gateway(namespace)
    gateway.spec["redis"]["managed"]["image"] = image
    return gateway


def test_a_redis_image_that_cannot_be_had_is_named_and_mended(namespace: Namespace) -> None:
    gateway = with_redis_image(namespace, "realtime-gateway.test/no-such-redis:1")
    gateway.apply()
    assert "Pod chat-" in gateway.wait_for("Degraded", "True", "ImagePull")
    assert warnings(namespace, "ImagePull")
    assert gateway.condition("Ready")[0] == "False"
    assert_calm(gateway)
    gateway.spec["redis"]["managed"]["image"] = images.REDIS
    gateway.apply()
    gateway.wait_until_ready(240)
    assert gateway.condition("Degraded")[0] == "False"


def test_a_redis_image_that_crashes_is_named_and_mended(namespace: Namespace) -> None:
    gateway = with_redis_image(namespace, images.PYTHON)  # it has no redis-server
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "CrashLoop")
    assert "redis-" in message
    assert warnings(namespace, "CrashLoop")
    assert_calm(gateway)
    gateway.spec["redis"]["managed"]["image"] = images.REDIS
    gateway.apply()
    gateway.wait_until_ready(240)


def test_an_image_of_the_gateway_that_crashes_is_named_and_the_pods_of_before_serve_on(namespace: Namespace) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    gateway.apply(image=images.PYTHON)  # it has no realtime-gateway
    assert "Pod chat-" in gateway.wait_for("Degraded", "True", "CrashLoop")
    assert warnings(namespace, "CrashLoop")
    assert gateway.condition("Ready")[0] == "True"
    del gateway.spec["image"]
    gateway.apply()
    gateway.wait_for("Degraded", "False")
    gateway.wait_until_ready()


def test_a_pod_that_no_node_takes_is_named(namespace: Namespace) -> None:
    template = {"nodeSelector": {"example.com/disk": "gold"}}
    gateway = Gateway(namespace)
    gateway.spec["redis"]["managed"]["podTemplate"] = template
    gateway.apply()
    assert "chat-" in gateway.wait_for("Degraded", "True", "Unschedulable")
    assert warnings(namespace, "Unschedulable")
    assert_calm(gateway)


# One that is applied, and the two that are made once, by creating them.
TAKEN = (("ConfigMap", "chat-resource"), ("Secret", "chat-redis-passwords"), ("ConfigMap", "chat-hosts"))


@pytest.mark.parametrize(("kind", "name"), TAKEN, ids=[name for _, name in TAKEN])
def test_a_name_that_somebody_else_has_is_named_and_left_to_them(namespace: Namespace, kind: str, name: str) -> None:
    namespace.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"theirs": "eA=="}})
    gateway = Gateway(namespace)
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "NameTaken")
    assert f"{kind} {name} exists and belongs to nobody" in message
    assert warnings(namespace, "NameTaken")
    assert_calm(gateway)
    found = namespace.get(f"{kind}/{name}")
    assert found["data"] == {"theirs": "eA=="}
    assert "ownerReferences" not in found["metadata"]
    namespace.kubectl("delete", f"{kind}/{name}")
    gateway.wait_for("Degraded", "False")  # it is tried again after 2, 4, 8 … s
    gateway.wait_until_ready()


@pytest.mark.timeout(600, func_only=True)
def test_a_quota_that_stops_pods_is_named_and_lifting_it_is_enough(namespace: Namespace) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "2"}}}
    namespace.apply(quota)
    wait_until(lambda: namespace.get("resourcequota/few").get("status", {}).get("hard"), 30)
    gateway = Gateway(namespace)
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "QuotaExceeded")
    assert "StatefulSet chat-" in message
    assert "exceeded quota: few" in message
    assert warnings(namespace, "QuotaExceeded")
    assert_calm(gateway)
    namespace.kubectl("delete", "resourcequota/few")
    # Their controller tries again by its own back-off, in minutes by now; any change makes it look at once.
    namespace.kubectl("annotate", "statefulsets", "--all", "example.com/look=again")
    gateway.wait_until_ready(240)
    gateway.wait_for("Degraded", "False")


@pytest.mark.parametrize(
    ("limit", "reason", "message"),
    [
        ({"min": {"memory": "1Gi"}}, "Forbidden", "minimum memory usage per Container is 1Gi"),
        # It is also the limit of what has none, which is less than what the pods ask for.
        ({"max": {"memory": "16Mi"}}, "Rejected", "must be less than or equal to memory limit of 16Mi"),
    ],
    ids=["above what they ask for", "below what they ask for"],
)
def test_a_limit_range_that_refuses_pods_is_named_as_it_is(
    namespace: Namespace, limit: dict[str, Any], reason: str, message: str
) -> None:
    limits = {"limits": [{"type": "Container", **limit}]}
    namespace.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": limits})
    gateway = Gateway(namespace)
    gateway.apply()
    assert message in gateway.wait_for("Degraded", "True", reason)
    assert warnings(namespace, reason)
    assert_calm(gateway)


@contextmanager
def without_right(cluster: Cluster, group: str, resource: str, verb: str) -> Iterator[None]:
    """Take one verb on one resource away from the operator, and give it back."""
    before = cluster.get(ROLE)
    lessened = copy.deepcopy(before)
    rules: list[dict[str, Any]] = []
    for rule in lessened["rules"]:
        if group in rule["apiGroups"] and resource in rule["resources"]:
            others = [one for one in rule["resources"] if one != resource]
            rules += [{**rule, "resources": others}] if others else []
            rules.append({**rule, "resources": [resource], "verbs": [one for one in rule["verbs"] if one != verb]})
        else:
            rules.append(rule)
    cluster.kubectl("patch", ROLE, "--type=json", "-p", replacing(rules))
    try:
        yield
    finally:
        cluster.kubectl("patch", ROLE, "--type=json", "-p", replacing(before["rules"]))


def replacing(rules: list[dict[str, Any]]) -> str:
    return json.dumps([{"op": "replace", "path": "/rules", "value": rules}])


@pytest.mark.timeout(600, func_only=True)
async def test_a_right_that_the_operator_lacks_is_named_and_all_else_is_made(
    namespace: Namespace, cluster: Cluster
) -> None:
    gateway = Gateway(namespace)
    with without_right(cluster, "networking.k8s.io", "networkpolicies", "create"):
        gateway.apply()
        message = gateway.wait_for("Degraded", "True", "Forbidden")
        assert "networkpolicies" in message
        assert warnings(namespace, "Forbidden")
        gateway.wait_for("Ready", "True")
        await gateway.chat()
        assert_calm(gateway)
    gateway.wait_for("Degraded", "False", seconds=300)
    assert namespace.get("networkpolicies")


@pytest.mark.timeout(600, func_only=True)
@pytest.mark.parametrize("verb", ["list", "watch"])
def test_an_operator_that_may_not_see_says_so_and_touches_nothing(
    namespace: Namespace, cluster: Cluster, verb: str
) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    made = {place(one): one["metadata"]["uid"] for one in gateway.owned()}
    with without_right(cluster, "networking.k8s.io", "networkpolicies", verb):
        for pod in operators(cluster):  # those that run hear of it when their watches end, which takes minutes
            cluster.kubectl("-n", NAMESPACE, "delete", "pod", pod["metadata"]["name"], "--wait=false")
        message = gateway.wait_for("Degraded", "True", "Forbidden")
        assert f"{verb} networkpolicies" in message
        assert warnings(namespace, "Forbidden")
        assert_calm(gateway)
        assert gateway.condition("Ready")[0] == "True", "what was known stays"
        assert {place(one): one["metadata"]["uid"] for one in gateway.owned()} == made
        namespace.kubectl("delete", "networkpolicy", "--all")
    gateway.wait_for("Degraded", "False", seconds=120)
    wait_until(lambda: {place(one) for one in gateway.owned()} == set(made), 60)
