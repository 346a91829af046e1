"""A ServiceMonitor and dashboards: named while the cluster cannot have them, then made, and gone when not wanted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.cluster import ClientPod, Cluster, Namespace
from tests.cluster.operator_bed import Gateway
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

CRD = "servicemonitors.monitoring.coreos.com"
# What the Prometheus Operator's own definition says of the place of a ServiceMonitor, and nothing of what is in it.
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": CRD},
    "spec": {
        "group": "monitoring.coreos.com",
        "names": {"kind": "ServiceMonitor", "plural": "servicemonitors", "singular": "servicemonitor"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}
TELEMETRY = {"prometheus": "serviceMonitor", "serviceMonitorLabels": {"release": "monitoring"}, "dashboards": True}


@pytest.fixture
def no_definition(cluster: Cluster) -> Iterator[None]:
    if cluster.try_kubectl("get", "crd", CRD).returncode == 0:
        pytest.skip("the cluster has the Prometheus Operator, whose definition a test must not take away")
    yield
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")


@pytest.mark.timeout(900, func_only=True)
@pytest.mark.usefixtures("no_definition")
async def test_a_monitor_is_named_without_its_definition_and_made_and_removed_with_it(
    namespace: Namespace, cluster: Cluster
) -> None:
    workers = [{"name": "receipts", "channels": ["receipts"]}]
    gateway = Gateway(namespace, {"replicas": 1, "workers": workers, "telemetry": TELEMETRY})
    gateway.apply()
    message = gateway.wait_for("Degraded", "True", "NotServed")
    assert "ServiceMonitor of monitoring.coreos.com/v1: install what defines it, or leave it out" in message
    gateway.wait_for("Ready", "True")

    cluster.apply(DEFINITION)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
    gateway.wait_for("Degraded", "False", seconds=300)
    monitor = namespace.get("servicemonitor/chat-metrics")
    assert monitor["metadata"]["labels"]["release"] == "monitoring"
    await gateway.chat()  # a gateway process has numbers of its shards when somebody has made it use the channel layer
    assert_pods_are_scraped_by(monitor, namespace)

    [dashboards] = namespace.get("configmaps", "-l", "grafana_dashboard=1")
    titles = [json.loads(page)["title"] for page in dashboards["data"].values()]
    assert f"RealtimeGateway / Overview ({namespace.name}/chat)" in titles

    gateway.apply(telemetry={"prometheus": "scrape"})
    for gone in ("servicemonitor/chat-metrics", "service/chat-metrics", "configmap/chat-dashboards"):
        wait_until(lambda one=gone: namespace.try_kubectl("get", one).returncode != 0, 60)
    gateway.wait_for("Degraded", "False")


def assert_pods_are_scraped_by(monitor: dict[str, Any], namespace: Namespace) -> None:
    """Do what Prometheus does with a ServiceMonitor: find Services, their endpoints, and on each of them the page."""
    spec = monitor["spec"]
    labels = ",".join(f"{name}={value}" for name, value in spec["selector"]["matchLabels"].items())
    [service] = namespace.get("services", "-l", labels)
    assert service["metadata"]["labels"][spec["jobLabel"]] == "chat"
    [endpoint] = spec["endpoints"]
    slices = namespace.get("endpointslices", "-l", f"kubernetes.io/service-name={service['metadata']['name']}")
    places = {
        found["targetRef"]["name"]: (found["addresses"][0], port["port"])
        for one in slices
        for port in one["ports"]
        if port["name"] == endpoint["port"]
        for found in one["endpoints"]
    }
    pods = namespace.get("pods", "-l", "app.kubernetes.io/instance=chat")
    component = {pod["metadata"]["name"]: pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert sorted(component[name] for name in places) == ["gateway", "worker"]
    client = ClientPod(namespace)
    for name, (address, port) in places.items():
        page = client.fetch(f"http://{address}:{port}{endpoint['path']}")
        assert "realtime_gateway_layer_shard_up{" in page, f"{component[name]}: {page[:500]}"
