"""Wires OpenTelemetry's SDK: spans go in batches, from a bounded queue, to a collector that may be dead.

Only ``realtime_gateway.tracing`` imports this, for what starts a process. The SDK itself is an extra
(``realtime-gateway[otlp]``) and is imported when there is somewhere to send to. A project that has set a tracer
provider of its own keeps it, and our spans go there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from opentelemetry import trace

from realtime_gateway.telemetry import exporters, recent, spans
from realtime_gateway.telemetry.destinations import Destinations
from realtime_gateway.telemetry.exporters import HTTP, LAST_SPANS_SECONDS, Protocol, QueueBounds
from realtime_gateway.telemetry.few import Few

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace.export import SpanExporter

    from realtime_gateway.telemetry.keep_recent import KeepRecent

logger = logging.getLogger("realtime_gateway.telemetry")

# Of messages without a parent, where spans are kept and sent nowhere: enough to look at, and a percent of a core.
TRACES_PER_SECOND = 20


@dataclass(frozen=True)
class TraceExport:
    """Where the spans of this process go, and of how many messages.

    Attributes:
        endpoint: of the collector, over HTTP with the path; None sends nothing.
        ratio: the fraction of messages without a parent that are traced.
        sampler_is_given: OTEL_TRACES_SAMPLER decides about the project's own spans, as the SDK reads it.
        attributes: what the spans say of this process; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME win over it.
        destinations: what spans call the places that messages go to.
        reads_messages: whether a JSON message may bring a context of its own.
        recent_spans: how many spans the process keeps for ``recent``; 0 keeps none.
        protocol: OTLP over HTTP or gRPC.
        queue: how many spans wait, and how long.
    """

    endpoint: str | None
    ratio: float
    sampler_is_given: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    destinations: Destinations = field(default_factory=Destinations)
    reads_messages: bool = False
    recent_spans: int = 0
    protocol: Protocol = HTTP
    queue: QueueBounds = field(default_factory=QueueBounds)


def project_has_provider() -> bool:
    """Whether somebody has set a tracer provider in this process."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def wire(export: TraceExport) -> Callable[[], None]:
    """Begin to make spans and to send them; return what ends it, which takes LAST_SPANS_SECONDS at most.

    Raises:
        ConfigurationError: there is somewhere to send to, and the extra is not installed.
    """
    if project_has_provider():
        return _follow_project(export)
    if export.endpoint is None:
        return _keep_recent_only(export)
    make_exporter = partial(exporters.span_exporter, export.endpoint, export.protocol)
    exporter = make_exporter()  # what is not installed is missed here, and not while messages are on their way
    logger.info("Tracing %g of all messages, to %s", export.ratio, urlsplit(export.endpoint).hostname)
    return partial(_end, _wire_sdk(export, exporter, make_exporter))


def _follow_project(export: TraceExport) -> Callable[[], None]:
    provider = trace.get_tracer_provider()
    spans.wire(_tracing(export, provider.get_tracer(spans.SCOPE), lambda: True))
    logger.info("Traces go where the project's own tracer provider sends them")
    if export.recent_spans:
        # The API's providers have no processors; the SDK's do, as those that are made of it.
        add = getattr(provider, "add_span_processor", None)
        if add is None:
            logger.warning(
                "No spans are kept for /traces: the project's tracer provider, %s, takes no span processor",
                type(provider).__qualname__,
            )
        else:
            add(_keep_recent(export.recent_spans))
    return _nothing_to_end


def _keep_recent_only(export: TraceExport) -> Callable[[], None]:
    if not export.recent_spans:
        return _nothing_to_end
    try:
        from opentelemetry.sdk.trace import TracerProvider

        from realtime_gateway.telemetry.own_spans import OwnSpans
    except ImportError:
        logger.info("No spans are kept: opentelemetry-sdk is not installed")
        return _nothing_to_end
    kept = _keep_recent(export.recent_spans)
    # It is nobody's provider but ours: a project that has none has asked for no spans of its own.
    ours = OwnSpans(partial(TracerProvider, resource=_resource(export.attributes), shutdown_on_exit=False))
    ours.go_to(kept)
    spans.wire(_tracing(export, ours.tracer, Few(TRACES_PER_SECOND, time.monotonic)))
    return partial(spans.wire, None)


def _keep_recent(number: int) -> KeepRecent:
    from realtime_gateway.telemetry.keep_recent import KeepRecent

    return KeepRecent(recent.keep(number))


def _wire_sdk(
    export: TraceExport, exporter: SpanExporter, make_exporter: Callable[[], SpanExporter]
) -> Callable[[], None]:
    from opentelemetry.sdk.trace import TracerProvider, sampling

    from realtime_gateway.telemetry.own_spans import OwnSpans
    from realtime_gateway.telemetry.span_queue import SpanQueue

    make_provider = partial(TracerProvider, resource=_resource(export.attributes), shutdown_on_exit=False)
    # Whether a message is traced is decided before a span is made, which the SDK's sampler could not do. So our spans
    # are all sampled but for what a parent says, and the project's own follow the usual sampler.
    ours = OwnSpans(make_provider)
    by_ratio = sampling.ParentBased(sampling.TraceIdRatioBased(export.ratio))
    others = make_provider() if export.sampler_is_given else make_provider(sampler=by_ratio)
    queue = SpanQueue(ours.taken_by(exporter), export.queue, lambda: ours.taken_by(make_exporter()))
    for processor in (queue, *([_keep_recent(export.recent_spans)] if export.recent_spans else [])):
        ours.go_to(processor)
        others.add_span_processor(processor)
    trace.set_tracer_provider(others)
    ratio = export.ratio
    spans.wire(_tracing(export, ours.tracer, lambda: random() < ratio))
    return queue.shutdown


def _tracing(export: TraceExport, tracer: trace.Tracer, starts_trace: Callable[[], bool]) -> spans.Tracing:
    return spans.Tracing(
        tracer, starts_trace, export.destinations, export.reads_messages, getattr(tracer, "child", None)
    )


def _resource(attributes: Mapping[str, str]) -> Resource:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    return Resource.create().merge(Resource(dict(attributes))).merge(OTELResourceDetector().detect())


def _end(shut_down: Callable[[], None]) -> None:
    spans.wire(None)
    # An exporter's own time-outs are longer than a process that was told to end may take.
    last = threading.Thread(target=shut_down, name="realtime-gateway-last-spans", daemon=True)
    last.start()
    last.join(LAST_SPANS_SECONDS)


def _nothing_to_end() -> None:
    pass
