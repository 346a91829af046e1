"""What is kept of messages that are not traced: the slow ones, and what failed, whatever the sampler says.

Such a message has no spans, and nobody knew in time that it would be worth any. So one span is made after the fact, a
trace of its own, and its context becomes the exemplar of the metric in which the message counts. Nothing is made where
nothing is traced, and of many at once the first few of each kind and second: an overload makes everything slow.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, SpanKind

from realtime_gateway.telemetry import propagation
from realtime_gateway.telemetry.few import Few
from realtime_gateway.telemetry.recorder import Family
from realtime_gateway.telemetry.spans import KEPT, WIRED, failed

# What a person waits for and notices.
SLOW_SECONDS = 1.0
KEPT_PER_SECOND = 10

# Apart: a backlog makes thousands slow, and would leave nothing for what failed in it.
_may_keep_slow = Few(KEPT_PER_SECOND, time.monotonic)
_may_keep_failed = Few(KEPT_PER_SECOND, time.monotonic)


def slow(name: str, seconds: float, attributes: Mapping[str, str]) -> bytes:
    """Keep a message that took ``seconds`` until now; return its span's context for an exemplar, or nothing."""
    if WIRED.tracing is None or not _may_keep_slow():
        return b""
    ended_ns = time.time_ns()
    span = _span(name, "slow", attributes, began_ns=ended_ns - int(seconds * 1e9))
    span.end(ended_ns)
    return _packed(span)


def failure(
    name: str, error_type: str, counter: Family, label_value: str = "", link: SpanContext | None = None
) -> None:
    """Keep what has failed now as the exemplar of the counter that counts it.

    Args:
        name: of the span.
        error_type: in a word, and nothing of a message's.
        counter: that has just counted it.
        label_value: under which.
        link: a span that it has to do with.
    """
    if WIRED.tracing is None or not _may_keep_failed():
        return
    span = _span(name, "failed", {}, link=link)
    failed(span, error_type)
    span.end()
    trace = _packed(span)
    if trace:
        counter.exemplify(trace, label_value)


def _span(
    name: str, why: str, attributes: Mapping[str, str], began_ns: int | None = None, link: SpanContext | None = None
) -> Span:
    tracing = WIRED.tracing
    assert tracing is not None, "the caller has looked"
    links = [] if link is None else [Link(link)]
    said = {KEPT: why, **attributes}
    return tracing.tracer.start_span(name, Context(), SpanKind.INTERNAL, said, links, began_ns)


def _packed(span: Span) -> bytes:
    # A project's own sampler may have left it out.
    context = span.get_span_context()
    return propagation.pack(context) if context.trace_flags.sampled else b""
