"""The operator's own numbers: what its passes came to, what it asked of the API server, what its resources are in.

Labels are words of the operator's and names of resources, so there are as many series as there are resources.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

PREFIX = "realtime_gateway_operator_"
# What a pass may come to.
DONE, RESTED, FAILED, NOT_LEADING = "changed", "nothing_to_do", "failed", "not_leading"
# Why a span is dropped.
QUEUE_FULL, REFUSED = "queue_full", "refused"
_PASS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

REGISTRY = CollectorRegistry()

_passes = Counter(PREFIX + "reconciles", "Passes over a resource, by what they came to.", ["result"], registry=REGISTRY)
_pass_seconds = Histogram(
    PREFIX + "reconcile_seconds", "How long a pass took.", buckets=_PASS_BUCKETS, registry=REGISTRY
)
_actions = Counter(
    PREFIX + "actions", "Actions that were tried, by kind, and whether they were done.", ["action", "result"],
    registry=REGISTRY,
)  # fmt: skip
_calls = Counter(
    PREFIX + "api_calls", "Calls to the API server, by method and status; 0 where none came.", ["method", "status"],
    registry=REGISTRY,
)  # fmt: skip
_exports_failed = Counter(
    PREFIX + "exports_failed", "Exports of traces that the collector did not take.", registry=REGISTRY
)
_spans_dropped = Counter(
    PREFIX + "spans_dropped",
    "Spans that no collector got, by why: the queue was full, or their export failed.",
    ["reason"],
    registry=REGISTRY,
)
_resources = Gauge(PREFIX + "resources", "Resources that this operator follows.", registry=REGISTRY)


class Statuses(Collector):
    """What the statuses of followed resources say; nothing while another operator leads, who knows better."""

    def __init__(self) -> None:
        self.leads = False
        self.by_resource: dict[tuple[str, str], Mapping[str, Any]] = {}

    def collect(self) -> Iterator[Metric]:
        """Read every status."""
        # Not `namespace`: that is the operator's own, which Prometheus adds to whatever it scrapes in a cluster.
        place = ["resource_namespace", "name"]
        leads = GaugeMetricFamily(PREFIX + "leads", "Whether this operator leads: 1 or 0.")
        leads.add_metric([], int(self.leads))
        condition = GaugeMetricFamily(
            PREFIX + "condition", "A resource's condition: 1 when True, 0 when False, -1 when Unknown.",
            labels=[*place, "type"],
        )  # fmt: skip
        epoch = GaugeMetricFamily(PREFIX + "host_list_epoch", "Epoch of a resource's host list.", labels=place)
        settled = GaugeMetricFamily(
            PREFIX + "processes_at_epoch",
            "Processes that have used the channel layer and finished every move to that list.",
            labels=place,
        )  # fmt: skip
        for names, status in sorted(self.by_resource.items()) if self.leads else ():
            for one in status.get("conditions", ()):
                condition.add_metric([*names, one["type"]], _VALUES.get(one["status"], -1))
            hosts = status.get("hosts") or {}
            for family, field in ((epoch, "epoch"), (settled, "podsAtEpoch")):
                if field in hosts:
                    family.add_metric(names, hosts[field])
        yield from (leads, condition, epoch, settled)


_VALUES = {"True": 1, "False": 0}
_statuses = Statuses()
REGISTRY.register(_statuses)

for _result in (DONE, RESTED, FAILED, NOT_LEADING):
    _passes.labels(_result)
for _reason in (QUEUE_FULL, REFUSED):
    _spans_dropped.labels(_reason)


@contextmanager
def of_the_process() -> Iterator[None]:
    """Say also what the process takes: memory, CPU, files, garbage."""
    collectors: list[Collector] = [ProcessCollector(registry=None), PlatformCollector(registry=None)]
    for collector in collectors:
        REGISTRY.register(collector)
    collectors.append(GCCollector(registry=REGISTRY))  # registers itself
    try:
        yield
    finally:
        for collector in collectors:
            REGISTRY.unregister(collector)


def page(accept: str) -> tuple[bytes, str]:
    """Everything, in the format that an Accept header asks for, and that format's content type."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type


def passed(result: str, seconds: float) -> None:
    """A pass has ended."""
    _passes.labels(result).inc()
    _pass_seconds.observe(seconds)


def acted(action: object, done: bool) -> None:
    """An action was tried, and was done or refused."""
    _actions.labels(type(action).__name__, "done" if done else "refused").inc()


def called(method: str, status: int) -> None:
    """The API server has answered, or not at all (0)."""
    _calls.labels(method, str(status)).inc()


def export_failed() -> None:
    """A collector has not taken spans."""
    _exports_failed.inc()


def spans_dropped(reason: str, spans: int = 1) -> None:
    """Spans will reach no collector."""
    _spans_dropped.labels(reason).inc(spans)


def leads(now: bool) -> None:
    """Whether this operator leads."""
    _statuses.leads = now


def follows(resources: int) -> None:
    """How many resources are followed."""
    _resources.set(resources)


def reported(namespace: str, name: str, status: Mapping[str, Any]) -> None:
    """This is a resource's status now."""
    _statuses.by_resource[namespace, name] = status


def gone(namespace: str, name: str) -> None:
    """A resource is gone."""
    _statuses.by_resource.pop((namespace, name), None)
