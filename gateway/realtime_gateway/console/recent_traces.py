"""Pure. The newest traces among spans, each in a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from realtime_gateway.telemetry.recent import RecentSpan

MOST_TRACES = 50
# What a trace is called by: the first of these among its spans, then the span that began first.
CALLED_BY = ("publish ", "websocket receive", "GET")


def recent_traces(spans: Iterable[RecentSpan]) -> list[dict[str, Any]]:
    """Return id, name, when it began, how long it took, spans, processes and failures of each, newest first."""
    traces: dict[str, list[RecentSpan]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    newest = sorted(traces.values(), key=lambda trace: max(span.start_ns for span in trace), reverse=True)
    return [_summary(trace) for trace in newest[:MOST_TRACES]]


def _summary(trace: list[RecentSpan]) -> dict[str, Any]:
    trace.sort(key=lambda span: span.start_ns)
    began = trace[0].start_ns
    return {
        "trace_id": trace[0].trace_id,
        "name": _name(trace),
        "start_ms": began // 1_000_000,
        "took_ms": round((max(span.end_ns for span in trace) - began) / 1e6, 2),
        "spans": len(trace),
        "processes": len({span.process for span in trace}),
        "failed": sum(span.is_failed for span in trace),
        "replayed": any(span.attributes.get("realtime_gateway.replayed") for span in trace),
    }


def _name(trace: list[RecentSpan]) -> str:
    for word in CALLED_BY:
        for span in trace:
            if span.name.startswith(word):
                return "handshake" if span.name == "GET" else span.name
    return trace[0].name
