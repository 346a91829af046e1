"""The scrape job of the documents, in a real Prometheus, with pods as the operator and the manifests make them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from realtime_operator.objects import gateway_pods
from tests.monitoring.conftest import PLENTY_SECONDS, ROOT, gateway, require_prometheus
from tests.support.conditions import wait_until
from tests.support.documented import code_under
from tests.support.operator_targets import target
from tests.support.prometheus_process import PrometheusProcess
from tests.support.redis_process import RedisProcess
from tests.support.serve_process import ServeProcess

STRANGER = {
    "metadata": {"labels": {"app.kubernetes.io/name": "shop"}, "annotations": {"prometheus.io/scrape": "true"}},
    "spec": {"containers": [{"ports": [{"containerPort": 8001}]}]},
}


def templates() -> dict[tuple[str, str], Any]:
    """(namespace, pod) → its template."""
    operator = yaml.safe_load((ROOT / "manifests" / "operator" / "deployment.yaml").read_text())
    unscraped = target({"telemetry": {"prometheus": "none"}}, name="quiet")
    return {
        ("talk", "chat-0"): gateway_pods.deployment(target(), 1)["spec"]["template"],
        ("talk", "news-0"): gateway_pods.deployment(target(name="news"), 1)["spec"]["template"],
        ("talk", "quiet-0"): gateway_pods.deployment(unscraped, 1)["spec"]["template"],
        ("gateway-system", "operator-0"): operator["spec"]["template"],
        ("talk", "stranger-0"): STRANGER,
    }


def discovered(place: tuple[str, str], template: Any, answering: int) -> Iterator[dict[str, Any]]:
    """What Prometheus's discovery of pods makes of one: a target for each port of its containers."""
    metadata, prefix = template["metadata"], "__meta_kubernetes_pod"
    labels = {"__meta_kubernetes_namespace": place[0], f"{prefix}_name": place[1]}
    for kind in ("label", "annotation"):
        for name, value in metadata.get(f"{kind}s", {}).items():
            labels[f"{prefix}_{kind}_{''.join(one if one.isalnum() else '_' for one in name)}"] = value
    for container in template["spec"]["containers"]:
        for port in container["ports"]:
            of_port = {**labels, f"{prefix}_container_port_number": str(port["containerPort"])}
            yield {"targets": [f"127.0.0.1:{answering}"], "labels": of_port}


@pytest.fixture(scope="module")
def one_gateway() -> Iterator[ServeProcess]:
    require_prometheus()
    with RedisProcess() as shard, gateway([shard.url]) as it:
        yield it


def test_the_documented_job_tells_resources_apart(one_gateway: ServeProcess) -> None:
    scrapes = yaml.safe_load(code_under("observability.md", "### Telling installations apart"))["scrape_configs"]
    [job] = scrapes
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    port = one_gateway.admin_port
    job["static_configs"] = [one for place, pod in templates().items() for one in discovered(place, pod, port)]
    with PrometheusProcess(scrapes, "groups: []") as prometheus:
        wait_until(lambda: len(prometheus.query("up == 1")) >= 3, PLENTY_SECONDS, 0.2)
        names = ("namespace", "job", "pod", "component")
        found = [tuple(one["metric"].get(name, "") for name in names) for one in prometheus.query("up")]
        assert sorted(found) == [
            ("gateway-system", "realtime-gateway", "operator-0", ""),
            ("talk", "chat", "chat-0", "gateway"),
            ("talk", "news", "news-0", "gateway"),
        ]
        wait_until(lambda: prometheus.query("realtime_gateway_connections"), PLENTY_SECONDS, 0.2)
        assert not [name for name in prometheus.ask("labels") if name.startswith("exported_")]
