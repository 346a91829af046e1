"""A message's trace from one pod to another, read from a collector in the cluster."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.cluster import Namespace, Object
from tests.cluster.operator_bed import Gateway
from tests.cluster.test_image import RESTRICTED
from tests.cluster.waiting import until

COLLECTOR = Path(__file__).with_name("collector.py")
CLIENTS = 6


def collector(image: str) -> list[Object]:
    labels = {"app": "collector"}
    container = {
        "name": "collector",
        "image": image,
        "command": ["python", "-c", COLLECTOR.read_text()],
        "securityContext": RESTRICTED,
        "readinessProbe": {"tcpSocket": {"port": 4318}, "periodSeconds": 1},
    }
    pod = {"terminationGracePeriodSeconds": 0, "containers": [container]}
    name = {"metadata": {"name": "collector", "labels": labels}}
    return [
        {"apiVersion": "v1", "kind": "Pod", **name, "spec": pod},
        {"apiVersion": "v1", "kind": "Service", **name, "spec": {"selector": labels, "ports": [{"port": 4318}]}},
    ]


def traces(namespace: Namespace) -> list[list[dict[str, Any]]]:
    """Return the spans that have come so far, by trace."""
    found = defaultdict(list)
    for line in namespace.kubectl("logs", "collector").splitlines():
        span = json.loads(line)
        found[span["trace"]].append(span)
    return list(found.values())


def sent(trace: list[dict[str, Any]]) -> int:
    return sum(span["name"] == "websocket send" for span in trace)


@pytest.mark.core
@pytest.mark.usefixtures("operator")
async def test_one_trace_shows_a_message_from_one_pod_to_another(namespace: Namespace, gateway_image: str) -> None:
    namespace.apply(*collector(gateway_image))
    namespace.wait_for("condition=Ready", "pod/collector")
    gateway = Gateway(namespace, {"telemetry": {"otlpEndpoint": "http://collector:4318", "samplingRatio": 1}})
    gateway.apply()
    gateway.wait_until_ready()
    await gateway.chat(clients=CLIENTS)
    await until(lambda: any(sent(trace) == CLIENTS and received(trace) for trace in traces(namespace)), 30)

    trace = next(trace for trace in traces(namespace) if sent(trace) == CLIENTS)
    by_id = {span["id"]: span for span in trace}
    steps = Counter((by_id[span["parent"]]["name"] if span["parent"] else "", span["name"]) for span in trace)
    (publish,) = (span["name"] for span in trace if span["name"].startswith("publish"))
    deliver = publish.replace("publish", "deliver")
    receive, receiving, sending = (by_id[span["id"]]["name"] for span in _way_of_one(trace, by_id, publish))
    assert steps == {
        ("", receive): 1,
        (receive, receiving): 1,
        (receiving, publish): 1,
        (publish, "EVALSHA publish"): 1,
        (publish, deliver): 2,
        (deliver, sending): CLIENTS,
        (sending, "websocket send"): CLIENTS,
    }
    assert receive == "websocket receive"
    pods = {pod["metadata"]["name"] for pod in namespace.get("pods", "-l", "app.kubernetes.io/component=gateway")}
    assert {span["pod"] for span in trace} == pods
    assert len(pods) == 2
    assert {span["service"] for span in trace} == {"chat"}


def _way_of_one(trace: list[dict[str, Any]], by_id: dict[str, dict[str, Any]], publish: str) -> list[dict[str, Any]]:
    """Return what came before a publication, and the handler that has sent it to one client."""
    published = next(span for span in trace if span["name"] == publish)
    sent = next(span for span in trace if span["name"] == "websocket send")
    receiving = by_id[published["parent"]]
    return [by_id[receiving["parent"]], receiving, by_id[sent["parent"]]]


def received(trace: list[dict[str, Any]]) -> bool:
    return any(span["name"] == "websocket receive" for span in trace)
