"""Sends the operator's spans to a collector over OTLP, in batches from a bounded queue. A dead collector costs nothing.

Where to, and which passes, say OpenTelemetry's own variables, which its SDK reads: OTEL_EXPORTER_OTLP_…,
OTEL_TRACES_SAMPLER and …_ARG (by default every pass), OTEL_BSP_…, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from realtime_gateway.errors import ConfigurationError
from realtime_operator import recording, tracing
from realtime_operator.options import Options

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

# How long the end of the process waits for its last spans to leave: it has 30 s, and its Lease to give away.
LAST_SPANS_SECONDS = 3.0
SERVICE = "realtime-gateway-operator"
log = logging.getLogger(__name__)
# They say of each batch at length that nobody took it; that is said here once, and counted.
_TALKATIVE = ("opentelemetry.exporter.otlp.proto.http.trace_exporter", "opentelemetry.sdk._shared_internal")


@contextmanager
def exporting(options: Options) -> Iterator[None]:
    """Make spans and send them in the block, where there is somewhere to send them to.

    Raises:
        ConfigurationError: there is, and what sends them is not installed.
    """
    if not options.exports_traces:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            f"Traces have somewhere to go, but what sends them is not installed ({error.name} is missing).",
            "Install realtime-gateway[operator,otlp], or take OTEL_EXPORTER_OTLP_ENDPOINT away.",
        ) from error
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    provider = TracerProvider(resource=_resource(options), shutdown_on_exit=False)
    processor = BatchSpanProcessor(_telling(OTLPSpanExporter()))
    provider.add_span_processor(processor)
    tracing.wire(provider.get_tracer(tracing.SCOPE))
    try:
        yield
    finally:
        tracing.wire(None)
        last = threading.Thread(target=processor.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_SECONDS)


def _resource(options: Options) -> Resource:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = {
        "service.name": SERVICE,
        "service.version": version("realtime-gateway"),
        "service.instance.id": options.identity,
        tracing.NAMESPACE: options.namespace,
    }
    return Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())


def _telling(exporter: SpanExporter) -> SpanExporter:
    """An exporter that says when a collector begins and ceases to take what it is sent."""
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Telling(SpanExporter):
        works = True

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = exporter.export(spans)
            works = result is SpanExportResult.SUCCESS
            if not works:
                recording.export_failed()
            if works is not self.works:
                self.works = works
                log.log(
                    logging.INFO if works else logging.WARNING,
                    "The collector takes traces again." if works else "The collector does not take traces.",
                )
            return result

        def shutdown(self) -> None:
            exporter.shutdown()

    return Telling()
