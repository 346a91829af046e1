"""A route of the Gateway API: named while the cluster does not know it, made when it does, and kept as it should be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.cluster import Cluster, Namespace, Object
from tests.cluster.node.machine import CACHE
from tests.cluster.operator_bed import NAMESPACE, Gateway, operators, restarts
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

CRD = "httproutes.gateway.networking.k8s.io"
DEFINITION = CACHE / "gateway-api" / "httproutes.yaml"
HOSTNAMES = "{.spec.hostnames}"


@pytest.fixture
def gateway(namespace: Namespace) -> Gateway:
    route = {"parentRefs": [{"name": "edge", "namespace": "infra"}], "hostnames": ["chat.example.com"]}
    made = Gateway(namespace, {"httpRoute": route})
    del made.spec["ingress"]
    return made


@pytest.fixture
def definition_to_be_removed(cluster: Cluster) -> Iterator[str]:
    if cluster.try_kubectl("get", "crd", CRD).returncode == 0:
        pytest.skip("the cluster has the Gateway API, which a test must not take away")
    if not DEFINITION.exists():
        pytest.skip(f"{DEFINITION} is not there: tests/cluster/node/build.sh gets it")
    yield str(DEFINITION)
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")


@pytest.mark.timeout(900, func_only=True)
def test_a_route_is_named_without_the_gateway_api_and_made_and_kept_with_it(
    gateway: Gateway, namespace: Namespace, cluster: Cluster, definition_to_be_removed: str
) -> None:
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "NotServed")
    assert "HTTPRoute of gateway.networking.k8s.io/v1" in message
    gateway.wait_for("Ready", "True")

    before = {name_of(pod): restarts(pod) for pod in operators(cluster)}
    cluster.kubectl("apply", "--server-side", "-f", definition_to_be_removed)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
    gateway.wait_for("Degraded", "False", seconds=300)
    route = namespace.get("httproute/chat")
    assert route["spec"]["parentRefs"][0]["name"] == "edge"
    assert route["spec"]["rules"][0]["backendRefs"][0]["name"] == "chat"
    assert gateway.status["url"] == "wss://chat.example.com"
    gateway.wait_until_ready(180)

    # The operators look for the kind every other minute, and watch it from then on without ending for it.
    wait_until(lambda: all("HTTPRoute now: watching it" in log_of(cluster, pod) for pod in operators(cluster)), 240)

    def hostnames() -> str:
        return namespace.kubectl("get", "httproute/chat", "-o", f"jsonpath={HOSTNAMES}")

    namespace.kubectl("patch", "httproute/chat", "--type=merge", "-p", '{"spec":{"hostnames":["theirs.example.com"]}}')
    wait_until(lambda: hostnames() == '["chat.example.com"]', 60)
    namespace.kubectl("delete", "httproute/chat")
    wait_until(lambda: namespace.try_kubectl("get", "httproute/chat").returncode == 0, 60)

    # With the definition every route goes. The operator says so and works on.
    cluster.kubectl("delete", "crd", CRD)
    gateway.wait_for("Degraded", "True", "NotServed")
    wait_until(lambda: all("watching what it serves now" in log_of(cluster, pod) for pod in operators(cluster)), 60)
    namespace.kubectl("delete", "configmap/chat-resource")
    wait_until(lambda: namespace.try_kubectl("get", "configmap/chat-resource").returncode == 0, 60)
    assert {name_of(pod): restarts(pod) for pod in operators(cluster)} == before


def log_of(cluster: Cluster, pod: Object) -> str:
    return cluster.kubectl("-n", NAMESPACE, "logs", name_of(pod))


def name_of(pod: Object) -> str:
    return str(pod["metadata"]["name"])
