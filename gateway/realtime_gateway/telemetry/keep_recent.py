"""Keeps each span that ends in ``recent``, the SDK's and our own, in the form that the admin port tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.util.types import AttributeValue

from realtime_gateway.telemetry.plain_span import PlainSpan
from realtime_gateway.telemetry.recent import RecentSpan, RecentSpans


class KeepRecent(SpanProcessor):
    """Adds what ends to a ring.

    Args:
        kept: the ring.
    """

    def __init__(self, kept: RecentSpans) -> None:
        self._kept = kept

    def on_end(self, span: ReadableSpan) -> None:
        """Add a span of the SDK."""
        self._kept.add(_recent_span(span))

    def add(self, span: PlainSpan) -> None:
        """Add one of ours."""
        self._kept.add(_recent_plain_span(span))


def _recent_span(span: ReadableSpan) -> RecentSpan:
    context, parent = span.context, span.parent
    return RecentSpan(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id="" if parent is None else f"{parent.span_id:016x}",
        name=span.name,
        kind=span.kind.name,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        is_failed=not span.status.is_ok,
        attributes={name: _as_json(value) for name, value in (span.attributes or {}).items()},
        events=tuple((event.name, event.timestamp) for event in span.events),
        links=tuple(f"{link.context.trace_id:032x}" for link in span.links),
    )


def _recent_plain_span(span: PlainSpan) -> RecentSpan:
    return RecentSpan(
        trace_id=f"{span.trace_id:032x}",
        span_id=f"{span.span_id:016x}",
        parent_id=f"{span.parent_id:016x}" if span.parent_id else "",
        name=span.name,
        kind=span.kind.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        is_failed=span.is_failed,
        attributes={name: _as_json(value) for name, value in span.attributes.items()},
        events=tuple(span.moments),
        links=tuple(f"{link.context.trace_id:032x}" for link in span.links),
    )


def _as_json(value: AttributeValue) -> Any:
    """Return a value as JSON can say it, which knows neither NaN nor infinity."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_as_json(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
