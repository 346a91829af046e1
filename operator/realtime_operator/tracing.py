"""The operator's spans: one for each pass over a resource, and below it what the pass saw, decided and did.

    reconcile            which resource, and what the pass came to
    ├─ observe           who answered, and who is at which epoch
    ├─ decide            what is to be done, and what is to be said of it
    ├─ AnnounceHosts     each action that was tried, in order: on which object, and how it ended
    └─ report            the status, where it has changed

A roll takes many passes, and the operator remembers none of them. So the trace in which a host list was made stands
beside the list, in an annotation, and each step that brings the list somewhere is linked to it.

Typed functions that do nothing until ``wire`` gives them a tracer. Nothing here holds what a Secret does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Link, NoOpTracer, Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

SCOPE = "realtime_operator"
# The conventions' word for where a resource is; ours otherwise.
NAMESPACE = "k8s.namespace.name"
RESOURCE = "realtime_gateway.resource"
RESULT = "realtime_gateway.operator.result"
FINDINGS = "realtime_gateway.operator.findings"
ACTIONS = "realtime_gateway.operator.actions"
OBJECT = "realtime_gateway.operator.object"
OUTCOME = "realtime_gateway.operator.outcome"
PROCESSES = "realtime_gateway.operator.processes"
PROCESSES_AT_EPOCH = "realtime_gateway.operator.processes_at_epoch"
SILENT = "realtime_gateway.operator.silent"
SHARD = "realtime_gateway.shard"
EPOCH = "realtime_gateway.epoch"
# Beside a host list: the span that has made it, as the W3C writes it.
ANNOTATION = "realtime-gateway.io/traceparent"
_W3C = TraceContextTextMapPropagator()
# An attribute is for a person's eye: of many actions the first are shown.
_MOST = 50


class _Wiring:
    tracer: Tracer = NoOpTracer()


def wire(tracer: Tracer | None) -> None:
    """Begin to make spans; None ends it."""
    _Wiring.tracer = tracer or NoOpTracer()


class Step:
    """A span that is open."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def note(self, attribute: str, value: str | int | Sequence[str]) -> None:
        """Say something of it."""
        self._span.set_attribute(attribute, value if isinstance(value, str | int) else list(value)[:_MOST])

    def failed(self, reason: str, message: str = "") -> None:
        """Mark it as failed, with a word for machines and one for people."""
        self._span.set_attribute("error.type", reason)
        self._span.set_status(StatusCode.ERROR, message or None)


@contextmanager
def reconcile(namespace: str, name: str) -> Iterator[Step]:
    """A pass over a resource."""
    with step("reconcile", {NAMESPACE: namespace, RESOURCE: name}) as made:
        yield made


@contextmanager
def step(name: str, attributes: Mapping[str, str | int] | None = None, traceparent: str = "") -> Iterator[Step]:
    """A part of what is under way; what it raises marks it as failed.

    Args:
        name: of the span.
        attributes: of the span.
        traceparent: of a span that it is linked to; what cannot be read is no link.
    """
    tracer = _Wiring.tracer
    with tracer.start_as_current_span(
        name,
        kind=SpanKind.INTERNAL,
        attributes=attributes,
        links=_links(traceparent),
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        made = Step(span)
        try:
            yield made
        except BaseException as error:
            made.failed(type(error).__name__)
            raise


def traceparent() -> str:
    """The current span for ``ANNOTATION``; empty where it is not recorded."""
    if not get_current_span().is_recording():
        return ""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier)
    return carrier.get("traceparent", "")


def _links(traceparent: str) -> list[Link]:
    if not traceparent:
        return []
    context = trace.get_current_span(_W3C.extract({"traceparent": traceparent})).get_span_context()
    return [Link(context)] if context.is_valid else []
