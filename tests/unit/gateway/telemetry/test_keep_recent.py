"""What the admin port tells of a span is the same whoever has made it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode

from realtime_gateway.telemetry import recent
from realtime_gateway.telemetry.keep_recent import KeepRecent
from realtime_gateway.telemetry.own_spans import OwnSpans


def test_plain_spans_are_told_as_those_of_the_sdk_are() -> None:
    ring = recent.RecentSpans(5)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(KeepRecent(ring))
    own = OwnSpans(partial(TracerProvider, shutdown_on_exit=False))
    own.go_to(KeepRecent(ring))
    for tracer in (provider.get_tracer("sdk"), own.tracer):
        said = {"a": "x", "b": math.nan, "c": 1, "d": ["websocket"]}
        links = [Link(SpanContext(3, 4, is_remote=False))]
        span = tracer.start_span("a name", Context(), SpanKind.CONSUMER, said, links, 5)
        span.add_event("taken", timestamp=6)
        span.set_status(StatusCode.ERROR)
        span.end(7)
    of_sdk, plain = ring.newest(5)
    assert len(plain.trace_id) == 32
    assert len(plain.span_id) == 16
    assert replace(plain, trace_id=of_sdk.trace_id, span_id=of_sdk.span_id) == of_sdk
