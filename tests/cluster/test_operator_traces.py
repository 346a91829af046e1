"""The operator's own traces, read from a collector in the cluster: a roll, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import NAMESPACE, Gateway, operators
from tests.cluster.test_trace import collector, traces
from tests.cluster.waiting import wait_until

DEPLOYMENT = "deployment/realtime-gateway-operator"
EPOCH, SHARD = "realtime_gateway.epoch", "realtime_gateway.shard"


@contextmanager
def environment(cluster: Cluster, **variables: str) -> Iterator[None]:
    """Operators with more in their environment."""
    given = [f"{name}={value}" for name, value in variables.items()]
    taken = [f"{name}-" for name in variables]
    cluster.kubectl("-n", NAMESPACE, "set", "env", DEPLOYMENT, *given)
    try:
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=120s")
        yield
    finally:
        cluster.kubectl("-n", NAMESPACE, "set", "env", DEPLOYMENT, *taken)
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", DEPLOYMENT, "--timeout=120s")


def spans(namespace: Namespace, name: str) -> list[dict[str, Any]]:
    return [span for trace in traces(namespace) for span in trace if span["name"] == name]


@pytest.mark.usefixtures("operator")
@pytest.mark.timeout(600, func_only=True)
async def test_a_roll_is_traced_step_by_step_and_each_step_leads_to_where_it_began(
    namespace: Namespace, gateway_image: str
) -> None:
    namespace.apply(*collector(gateway_image))
    namespace.wait_for("condition=Ready", "pod/collector")
    url = f"http://collector.{namespace.name}:4318"
    with environment(namespace.cluster, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_BSP_SCHEDULE_DELAY="500"):
        gateway = Gateway(namespace)
        gateway.apply()
        gateway.wait_until_ready()

        def roll() -> None:
            gateway.spec["redis"]["managed"] |= {"shards": 2}
            gateway.apply()
            wait_until(lambda: gateway.status.get("hosts", {}).get("epoch") == 2, 120)
            gateway.wait_until_ready()
            wait_until(lambda: any(one["attributes"][EPOCH] == 2 for one in spans(namespace, "AnnounceHosts")), 30)
            wait_until(lambda: settled(namespace, 2), 60)

        # A process is known from the time at which it uses the channel layer.
        await gateway.chat(during=roll)
        names = {pod["metadata"]["name"] for pod in operators(namespace.cluster)}

    (minted,) = [one for one in spans(namespace, "MintHosts") if one["attributes"][EPOCH] == 2]
    announced = [one for one in spans(namespace, "AnnounceHosts") if one["attributes"][EPOCH] == 2]
    assert {one["attributes"][SHARD] for one in announced} == {"chat-redis-0", "chat-redis-1"}
    assert all(one["links"] == [minted["trace"]] for one in announced)
    ours = {
        root["trace"]: root
        for root in spans(namespace, "reconcile")
        if root["attributes"]["k8s.namespace.name"] == namespace.name
    }
    assert {minted["trace"], *(one["trace"] for one in announced)} <= ours.keys()
    for trace in traces(namespace):
        root = ours.get(trace[0]["trace"])
        if root is None:
            continue  # of another test's resource
        assert root["attributes"]["realtime_gateway.resource"] == "chat"
        assert {span["parent"] for span in trace if span["id"] != root["id"]} <= {root["id"]}
        assert (root["service"], root["pod"] in names) == ("realtime-gateway-operator", True)
    assert "StatefulSet chat-redis-1" in {
        one["attributes"]["realtime_gateway.operator.object"] for one in spans(namespace, "Apply")
    }


def settled(namespace: Namespace, epoch: int) -> bool:
    """Whether a pass has seen processes, and all of them at an epoch."""
    at, of = "realtime_gateway.operator.processes_at_epoch", "realtime_gateway.operator.processes"
    seen = [one["attributes"] for one in spans(namespace, "observe")]
    return any(one.get(EPOCH) == epoch and one.get(of) and one[at] == one[of] for one in seen)
