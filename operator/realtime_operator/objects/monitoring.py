"""What finds and shows a resource's metrics: Service and ServiceMonitor for its pods, and dashboards for Grafana."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from realtime_operator.objects import identity
from realtime_operator.objects.gateway_pods import ADMIN_PORT
from realtime_operator.target import Target

METRICS_PORT = "metrics"
# As charts/monitoring makes them.
PAGES = Path(__file__).parent / "grafana"
# By which the sidecar of Grafana's chart finds ConfigMaps with dashboards.
SIDECAR_LABELS = {"grafana_dashboard": "1"}


def service(target: Target) -> dict[str, Any]:
    """The Service whose endpoints a ServiceMonitor scrapes: every pod with our metrics, also one that drains."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(target, identity.metrics_name(target), identity.METRICS),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {identity.INSTANCE_LABEL: target.name, **identity.MEASURED_LABELS},
            "ports": [{"name": METRICS_PORT, "port": ADMIN_PORT, "protocol": "TCP", "targetPort": ADMIN_PORT}],
        },
    }


def service_monitor(target: Target) -> dict[str, Any]:
    """The ServiceMonitor: `job` becomes the resource's name, by which dashboards and rules tell resources apart."""
    metadata = identity.metadata(target, identity.metrics_name(target), identity.METRICS)
    metadata["labels"] = {**(target.spec.telemetry.service_monitor_labels or {}), **metadata["labels"]}
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": identity.selector(target, identity.METRICS)},
            "jobLabel": identity.INSTANCE_LABEL,
            "podTargetLabels": [identity.COMPONENT_LABEL],
            "endpoints": [{"port": METRICS_PORT, "path": "/metrics"}],
        },
    }


def dashboards(target: Target) -> dict[str, Any]:
    """The ConfigMap with the dashboards of one resource, which begin with its own namespace and job."""
    metadata = identity.metadata(target, identity.dashboards_name(target), identity.METRICS)
    metadata["labels"] = {**SIDECAR_LABELS, **metadata["labels"]}
    # Grafana tells dashboards apart by their uid, and its sidecar files by their name, in all namespaces at once.
    suffix = hashlib.sha256(f"{target.namespace}/{target.name}".encode()).hexdigest()[:8]
    data = {f"{name}-{suffix}.json": _of_resource(page, target, suffix) for name, page in _pages().items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


@cache
def _pages() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(PAGES.glob("*.json"))}


def _of_resource(page: str, target: Target, suffix: str) -> str:
    dashboard = json.loads(page)
    dashboard["uid"] = f"{dashboard['uid']}-{suffix}"
    dashboard["title"] = f"{dashboard['title']} ({target.namespace}/{target.name})"
    begins_with = {"namespace": target.namespace, "job": target.name}
    for variable in dashboard["templating"]["list"]:
        if (value := begins_with.get(variable["name"])) is not None:
            variable["current"] = {"selected": True, "text": [value], "value": [value]}
    return json.dumps(dashboard, sort_keys=True, separators=(",", ":"))
