"""The newest traces, a line each."""

from __future__ import annotations

from realtime_gateway.console.recent_traces import MOST_TRACES, recent_traces
from realtime_gateway.telemetry.recent import RecentSpan


def span(trace: str, name: str, start_ms: int, **more: object) -> RecentSpan:
    given = {"process": "a", "attributes": {}, "is_failed": False, **more}
    start = start_ms * 1_000_000
    return RecentSpan(
        trace_id=trace, span_id=name, parent_id="", name=name, kind="", start_ns=start, end_ns=start + 2_500_000,
        **given,  # type: ignore[arg-type]  # of a test
    )  # fmt: skip


def test_a_trace_is_called_by_what_was_published_and_counts_its_spans_and_processes() -> None:
    spans = [
        span("1", "GET", 100),
        span("1", "websocket receive", 110),
        span("1", "publish chat_{name}", 111),
        span("1", "deliver chat_{name}", 112, process="b", attributes={"realtime_gateway.replayed": True}),
        span("1", "Chat.chat_message", 113, process="b", is_failed=True),
        span("2", "GET", 120),
        span("3", "its own", 90),
    ]
    newest, first, last = recent_traces(spans)
    assert (newest["trace_id"], newest["name"]) == ("2", "handshake")
    assert first == {
        "trace_id": "1", "name": "publish chat_{name}", "start_ms": 100, "took_ms": 15.5, "spans": 5, "processes": 2,
        "failed": 1, "replayed": True,
    }  # fmt: skip
    assert last["name"] == "its own"


def test_so_many_are_listed_and_no_more() -> None:
    listed = recent_traces(span(str(number), "GET", number) for number in range(MOST_TRACES + 5))
    assert len(listed) == MOST_TRACES
    assert listed[0]["trace_id"] == str(MOST_TRACES + 4)
