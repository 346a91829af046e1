"""Prometheus text of this process's counters: read when somebody asks, so that counting stays a dict update."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from realtime_gateway.telemetry import recorder

PREFIX = "realtime_gateway_"
CONTENT_TYPE = CONTENT_TYPE_LATEST


class RecorderCollector(Collector):
    """The recorder's families in Prometheus's terms."""

    def collect(self) -> Iterator[Metric]:
        """Read every family."""
        for family in recorder.read():
            labels = [family.label] if family.label else []
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            metric = kind(PREFIX + family.name, family.help, labels=labels)
            # A family without a label is there from the start: a rate over a counter that appears late misses its
            # first step.
            values = family.values or ({} if labels else {"": 0})
            for label_value, value in sorted(values.items()):
                metric.add_metric([label_value] if labels else [], value)
            yield metric


def make_registry() -> CollectorRegistry:
    """Return a registry with our families and the process's own figures (memory, CPU, file descriptors)."""
    registry = CollectorRegistry()
    for collector in (RecorderCollector(), ProcessCollector(registry=None), PlatformCollector(registry=None)):
        registry.register(collector)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """Return the page."""
    page: bytes = generate_latest(registry)
    return page
