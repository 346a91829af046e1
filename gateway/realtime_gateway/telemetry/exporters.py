"""What sends spans and metrics over OTLP.

Over HTTP (``[otlp]``) or gRPC (``[otlp-grpc]``); either is imported when there is somewhere to send to.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import recorder

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricExporter
    from opentelemetry.sdk.trace.export import SpanExporter

Protocol: TypeAlias = Literal["http/protobuf", "grpc"]
HTTP: Protocol = "http/protobuf"
GRPC: Protocol = "grpc"
_EXTRAS = {HTTP: "otlp", GRPC: "otlp-grpc"}
# How long the end of a process waits for its last spans to leave.
LAST_SPANS_SECONDS = 3.0
# A dead collector is worth a line now and then, not one for each batch.
SAME_COMPLAINT_SECONDS = 60.0
_LOGGERS = (
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
)
_PATHS = {"traces": "/v1/traces", "metrics": "/v1/metrics"}


def signal_url(base: str, signal: Literal["traces", "metrics"]) -> str:
    """Return where a signal goes over HTTP, given a collector's address as OTEL_EXPORTER_OTLP_ENDPOINT has it.

    The path of a signal at the end of the address, as exporters of one signal want it, is no part of the base.
    """
    base = base.rstrip("/")
    for path in _PATHS.values():
        base = base.removesuffix(path)
    return base + _PATHS[signal]


@dataclass(frozen=True)
class QueueBounds:
    """How many spans wait for a collector, and how long; the defaults are those of OpenTelemetry's specification.

    Attributes:
        most: spans that wait.
        batch: spans of one export.
        delay_seconds: for which a span waits for others, unless there are enough for a batch.
    """

    most: int = 2048
    batch: int = 512
    delay_seconds: float = 5.0


def span_exporter(endpoint: str, protocol: Protocol) -> SpanExporter:
    """Return what sends spans.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    made: SpanExporter = _exporter("Traces", "trace_exporter", "OTLPSpanExporter", protocol)(endpoint=endpoint)
    return made


def metric_exporter(endpoint: str, protocol: Protocol) -> MetricExporter:
    """Return what sends metrics.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    made: MetricExporter = _exporter("Metrics", "metric_exporter", "OTLPMetricExporter", protocol)(endpoint=endpoint)
    return made


def _exporter(what: str, module: str, name: str, protocol: Protocol) -> Any:
    transport = "grpc" if protocol == GRPC else "http"
    try:
        found = getattr(import_module(f"opentelemetry.exporter.otlp.proto.{transport}.{module}"), name)
    except ImportError as error:
        raise _missing(what, protocol, error) from error
    _complain_now_and_then()
    return found


def checked(protocol: str) -> Protocol:
    """Return a protocol that is one of the two."""
    assert protocol in _EXTRAS, protocol
    return protocol


def _missing(what: str, protocol: Protocol, error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"{what} have somewhere to go (telemetry.otlpEndpoint, or OTEL_EXPORTER_OTLP_ENDPOINT), but what sends them "
        f"over {protocol} is not installed ({error.name} is missing).",
        f"Install realtime-gateway[{_EXTRAS[protocol]}], or take the endpoint away.",
    )


def _complain_now_and_then() -> None:
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, NowAndThen) for one in logger.filters):
            logger.addFilter(NowAndThen())


class NowAndThen(logging.Filter):
    """Lets the same complaint through once in a while, and counts the others."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is written."""
        now = time.monotonic()
        key = str(record.msg)
        if now - self._said_at.get(key, -SAME_COMPLAINT_SECONDS) < SAME_COMPLAINT_SECONDS:
            recorder.log_lines_suppressed.add()
            return False
        self._said_at[key] = now
        return True
