"""What a resource says of traces, metrics and dashboards: ``spec.telemetry``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from realtime_gateway.resource.cluster import LABELS
from realtime_gateway.resource.fields import Number, setting
from realtime_gateway.resource.forms import URL


@dataclass(frozen=True)
class Telemetry:
    """Traces, metrics and dashboards."""

    otlp_endpoint: str | None = setting("Where traces are sent; left out, they are not.", default=None, rule=URL)
    otlp_protocol: Literal["http/protobuf", "grpc"] = setting(
        "How traces and metrics are sent: OTLP over HTTP (usually port 4318) or over gRPC (4317).",
        default="http/protobuf",
    )
    sampling_ratio: float = setting("The fraction of messages that are traced.", default=0.01, rule=Number(0, 1))
    prometheus: Literal["none", "scrape", "serviceMonitor"] = setting(
        "How Prometheus finds the metrics: not, by annotations, or by a ServiceMonitor.", default="scrape"
    )
    service_monitor_labels: Mapping[str, str] | None = setting(
        "Labels of the ServiceMonitor, by which a Prometheus picks its own, such as release.", default=None, rule=LABELS
    )
    blocked_loop_seconds: float = setting(
        "Seconds for which a gateway's event loop may stand still before the log says where; 0 means never.",
        default=1.0,
        rule=Number(0, 3_600),
    )
    access_log: Literal["text", "json"] = setting(
        "How the lines of the access log look: as Daphne writes them, or as JSON.", default="text"
    )
    log: Literal["text", "json"] = setting(
        "How the lines of a gateway's log look: text, or JSON; both have the ids of a traced message.", default="text"
    )
    destination_names: Literal["template", "hashed", "raw"] = setting(
        "What spans say of a group's or channel's name beside its template: nothing, a keyed hash, or the name.",
        default="template",
    )
    context_in_messages: bool = setting(
        "Whether the members traceparent and tracestate of a client's JSON message continue a trace.", default=False
    )
    recent_spans: int = setting(
        "How many of its last spans each process keeps in memory, for `realtime-gateway trace`; 0 keeps none.",
        default=0,
        rule=Number(0, 100_000),
    )
    dashboards: bool = setting(
        "Whether Grafana's dashboards of this resource are written as a ConfigMap for Grafana's sidecar.", default=False
    )
