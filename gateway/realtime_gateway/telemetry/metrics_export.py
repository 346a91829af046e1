"""Sends the recorder's numbers to a collector over OTLP, now and then, from a thread of its own.

One snapshot exists at a time. While the collector is slow the next one waits, and when it is dead a snapshot is dropped
and counted: since all of them are totals since the start, the next one says what it said. The SDK is imported when
there is somewhere to send to.

The names are those of the metrics page with dots after the project's and units apart, so that a collector that hands
them to Prometheus makes the page's names of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from realtime_gateway.telemetry import exporters, propagation, recorder
from realtime_gateway.telemetry.exporters import HTTP, Protocol
from realtime_gateway.telemetry.histogram import Exemplar as Sample
from realtime_gateway.telemetry.histogram import Histogram
from realtime_gateway.telemetry.recorder import Family

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import Metric, MetricExporter

logger = logging.getLogger("realtime_gateway.telemetry")

SCOPE = "realtime_gateway"
INTERVAL_SECONDS = 60.0
# How long the end of a process waits for its last snapshot to leave.
LAST_SECONDS = 3.0
_UNITS = {"seconds": "s", "bytes": "By"}


@dataclass(frozen=True)
class MetricsExport:
    """Where the metrics of this process go.

    Attributes:
        endpoint: of the collector, over HTTP with the path; None sends nothing.
        interval_seconds: between two exports.
        attributes: what they say of this process; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over it.
        protocol: OTLP over HTTP or gRPC.
    """

    endpoint: str | None
    interval_seconds: float = INTERVAL_SECONDS
    attributes: Mapping[str, str] = field(default_factory=dict)
    protocol: Protocol = HTTP


class Sending:
    """What sends, until it is told to stop.

    Args:
        send: sends what there is now.
        interval_seconds: between two times.
    """

    def __init__(self, send: Callable[[], None], interval_seconds: float) -> None:
        self._send = send
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._until = 0.0
        self._thread = threading.Thread(target=self._run, name="realtime-gateway-metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin to send for the last time."""
        self._until = time.monotonic() + LAST_SECONDS
        self._stop.set()

    def wait(self) -> None:
        """Wait until that is done, and no longer than LAST_SECONDS since ``stop``."""
        self._thread.join(max(0.0, self._until - time.monotonic()))

    def _run(self) -> None:
        while not self._stop.wait(self._interval_seconds):
            self._send()
        self._send()  # what has come since


def start(export: MetricsExport) -> Sending | None:
    """Begin to send, if there is somewhere to send to.

    Raises:
        ConfigurationError: there is somewhere to send to, and the extra is not installed.
    """
    if export.endpoint is None:
        return None
    exporter = exporters.metric_exporter(export.endpoint, export.protocol)
    logger.info("Metrics go to %s every %g s", urlsplit(export.endpoint).hostname, export.interval_seconds)
    send = partial(_send, exporter, _resource(export.attributes), time.time_ns())
    return Sending(send, export.interval_seconds)


def _send(exporter: MetricExporter, resource: Any, started_ns: int) -> None:
    from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    try:
        metrics = list(snapshot(started_ns, time.time_ns()))
        scope = ScopeMetrics(InstrumentationScope(SCOPE), metrics, "")
        result = exporter.export(MetricsData([ResourceMetrics(resource, [scope], "")]))
    except Exception:
        logger.exception("Metrics were not sent")
        result = MetricExportResult.FAILURE
    if result is not MetricExportResult.SUCCESS:
        recorder.exports_failed.add(1, "metrics")


def snapshot(started_ns: int, now_ns: int) -> Iterator[Metric]:
    """The recorder's numbers in OpenTelemetry's terms.

    Args:
        started_ns: since when counters count, in ns of the wall clock.
        now_ns: the present.
    """
    from opentelemetry.sdk.metrics import export

    for family in recorder.read():
        name, unit = _name(family.name)
        data: Any
        if isinstance(family, Histogram):
            data = export.Histogram(
                _distributions(family, started_ns, now_ns), export.AggregationTemporality.CUMULATIVE
            )
        else:
            data = _sum_or_gauge(family, started_ns, now_ns)
        yield export.Metric(f"{SCOPE}.{name}", family.help, unit, data)


def _name(name: str) -> tuple[str, str]:
    head, _, last = name.rpartition("_")
    return (head, _UNITS[last]) if last in _UNITS else (name, "1")


def _attributes(label: str, value: str) -> dict[str, str]:
    return {label: value} if label else {}


def _sum_or_gauge(family: Family, started_ns: int, now_ns: int) -> Any:
    from opentelemetry.sdk.metrics import export

    values = dict(family.values) or ({} if family.label else {"": 0.0})
    points = [
        export.NumberDataPoint(
            _attributes(family.label, value),
            started_ns,
            now_ns,
            number,
            list(_exemplars([family.exemplars[value]] if value in family.exemplars else [])),
        )
        for value, number in values.items()
    ]
    if family.kind == "gauge":
        return export.Gauge(points)
    return export.Sum(points, export.AggregationTemporality.CUMULATIVE, is_monotonic=True)


def _distributions(histogram: Histogram, started_ns: int, now_ns: int) -> list[Any]:
    from opentelemetry.sdk.metrics import export

    points = []
    for value, series in dict(histogram.series).items():
        counts = list(series.counts)
        points.append(
            export.HistogramDataPoint(
                attributes=_attributes(histogram.label, value),
                start_time_unix_nano=started_ns,
                time_unix_nano=now_ns,
                count=sum(counts),
                sum=series.total,
                bucket_counts=counts,
                explicit_bounds=histogram.bounds,
                # Not kept; the field is optional in OTLP, and not in the class.
                min=cast("float", None),
                max=cast("float", None),
                exemplars=list(_exemplars(dict(series.exemplars).values())),
            )
        )
    return points


def _exemplars(samples: Iterable[Sample]) -> Iterator[Exemplar]:
    from opentelemetry.sdk.metrics import Exemplar

    for one in samples:
        context = propagation.unpack(one.trace)
        if context is not None:
            yield Exemplar({}, one.value, int(one.at * 1e9), context.span_id, context.trace_id)


def _resource(attributes: Mapping[str, str]) -> Any:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    return Resource.create().merge(Resource(dict(attributes))).merge(OTELResourceDetector().detect())
