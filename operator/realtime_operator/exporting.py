"""Sends the operator's spans to a collector over OTLP, in batches from a bounded queue.

A dead collector costs nothing: what it does not take, and what does not fit into the queue, is dropped and counted.

Where to, and which passes, say OpenTelemetry's own variables, which its SDK reads: OTEL_EXPORTER_OTLP_…,
OTEL_TRACES_SAMPLER and …_ARG (by default every pass), OTEL_BSP_…, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from realtime_gateway.errors import ConfigurationError
from realtime_operator import tracing
from realtime_operator.options import Options

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

# How long the end of the process waits for its last spans to leave: it has 30 s, and its Lease to give away.
LAST_SPANS_SECONDS = 3.0
SAME_COMPLAINT_SECONDS = 60.0
SERVICE = "realtime-gateway-operator"
log = logging.getLogger(__name__)
# What says of each batch why nobody took it.
_TALKATIVE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


@contextmanager
def exporting(options: Options) -> Iterator[None]:
    """Make spans and send them in the block, where there is somewhere to send them to.

    Raises:
        ConfigurationError: there is, and what sends them is not installed, or cannot work as the environment says.
    """
    if not options.exports_traces:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError as error:
        raise ConfigurationError(
            f"Traces have somewhere to go, but what sends them is not installed ({error.name} is missing).",
            "Install realtime-gateway[operator,otlp], or take OTEL_EXPORTER_OTLP_ENDPOINT away.",
        ) from error
    from realtime_operator.span_counting import CountingProcessor

    provider = TracerProvider(resource=_resource(options), shutdown_on_exit=False)
    try:
        processor = CountingProcessor(OTLPSpanExporter(), options.most_spans)
    except ValueError as error:
        raise ConfigurationError(f"OTEL_BSP_… cannot be used: {error}", "Correct these variables.") from error
    provider.add_span_processor(processor)
    talkative, now_and_then = logging.getLogger(_TALKATIVE), NowAndThen()
    talkative.addFilter(now_and_then)
    tracing.wire(provider.get_tracer(tracing.SCOPE))
    try:
        yield
    finally:
        tracing.wire(None)
        last = threading.Thread(target=processor.shutdown, name="last spans", daemon=True)
        last.start()
        last.join(LAST_SPANS_SECONDS)
        talkative.removeFilter(now_and_then)


def _resource(options: Options) -> Resource:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = {
        "service.name": SERVICE,
        "service.version": version("realtime-gateway"),
        "service.instance.id": options.identity,
        tracing.NAMESPACE: options.namespace,
    }
    return Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect())


class NowAndThen(logging.Filter):
    """Lets the same complaint through once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        complaint, now = str(record.msg), time.monotonic()
        if now - self._said_at.get(complaint, -SAME_COMPLAINT_SECONDS) < SAME_COMPLAINT_SECONDS:
            return False
        self._said_at[complaint] = now
        return True
