"""This process's numbers as Prometheus scrapes them: read when somebody asks, so that counting stays a dict update.

Whoever accepts OpenMetrics gets it, with exemplars; everybody else gets Prometheus's text format.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, exposition
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar as PageExemplar

from realtime_gateway.telemetry import propagation, recorder
from realtime_gateway.telemetry.histogram import Exemplar, Histogram
from realtime_gateway.telemetry.recorder import Family

PREFIX = "realtime_gateway_"


class RecorderCollector(Collector):
    """The recorder's families in Prometheus's terms."""

    def collect(self) -> Iterator[Metric]:
        """Read every family."""
        for family in recorder.read():
            yield _histogram(family) if isinstance(family, Histogram) else _family(family)


def _family(family: Family) -> Metric:
    labels = [family.label] if family.label else []
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(PREFIX + family.name, family.help, labels=labels)
    # A family without a label is there from the start: a rate over a counter that appears late misses its first step.
    values = family.values or ({} if labels else {"": 0})
    suffix = "_total" if family.kind == "counter" else ""
    for label_value, value in sorted(values.items()):
        said = {family.label: label_value} if labels else {}
        exemplar = _exemplar(family.exemplars.get(label_value))
        metric.add_sample(PREFIX + family.name + suffix, said, value, exemplar=exemplar)
    return metric


def _histogram(histogram: Histogram) -> Metric:
    metric = HistogramMetricFamily(
        PREFIX + histogram.name, histogram.help, labels=[histogram.label] if histogram.label else []
    )
    bounds = [*map(str, histogram.bounds), "+Inf"]
    for label_value, series in sorted(histogram.series.items()):
        exemplars = [_exemplar(series.exemplars.get(bucket)) for bucket in range(len(bounds))]
        buckets: list[Any] = list(zip(bounds, accumulate(series.counts), exemplars, strict=True))
        metric.add_metric([label_value] if histogram.label else [], buckets, series.total)
    return metric


def _exemplar(sample: Exemplar | None) -> PageExemplar | None:
    context = None if sample is None else propagation.unpack(sample.trace)
    if sample is None or context is None:
        return None
    labels = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    return PageExemplar(labels, sample.value, sample.at)


def make_registry() -> CollectorRegistry:
    """Return a registry with our families and the process's own figures (memory, CPU, file descriptors)."""
    registry = CollectorRegistry()
    for collector in (RecorderCollector(), ProcessCollector(registry=None), PlatformCollector(registry=None)):
        registry.register(collector)
    GCCollector(registry=registry)
    return registry


def render(registry: CollectorRegistry, accept: str = "") -> tuple[str, bytes]:
    """Return the page and its content type; ``accept`` is what the request's header of that name says."""
    encode, content_type = exposition.choose_encoder(accept)
    page: bytes = encode(registry)
    return content_type, page
