"""A trace as people read it."""

from __future__ import annotations

from typing import Any

from realtime_gateway.console.trace_lines import about, lines
from realtime_gateway.console.trace_tree import tree
from realtime_gateway.telemetry.recent import RecentSpan


def span(number: str, parent: str, name: str, at_ms: float, took_ms: float, **more: Any) -> RecentSpan:
    start = 1_000_000_000 + int(at_ms * 1e6)
    given = {"process": "a", "is_failed": False, "attributes": {}, **more}
    return RecentSpan(
        trace_id="t", span_id=number, parent_id=parent, name=name, kind="", start_ns=start,
        end_ns=start + int(took_ms * 1e6), **given,
    )  # fmt: skip


def test_each_root_has_times_of_its_own_and_bars_from_its_beginning_to_its_end() -> None:
    spans = [
        span("0", "", "GET", 0, 900),
        span("1", "", "websocket receive", 1000, 8),
        span("2", "1", "publish chat_{name}", 1002, 4),
        span("3", "2", "deliver chat_{name}", 1006, 2, process="b"),
        span("4", "2", "EVALSHA publish", 1003, 2),
    ]
    printed = list(lines(tree(spans)))
    assert printed[0] == "trace t: 5 spans in 2 processes"
    text = "\n".join(printed)
    assert "   0.00 ms   900.00 ms  " + "█" * 24 + "  GET" in text
    assert "   0.00 ms     8.00 ms  " + "█" * 24 + "  websocket receive" in text
    assert "   2.00 ms     4.00 ms  " + "·" * 6 + "█" * 12 + "·" * 6 + "  └─ publish chat_{name}" in text
    assert "·" * 9 + "█" * 6 + "·" * 9 + "     ├─ EVALSHA publish" in text
    assert "     └─ deliver chat_{name}  b" in text


def test_members_that_are_alike_are_counted_not_listed() -> None:
    handlers = [span(str(n), "1", "Chat.chat_message", n, 1) for n in range(2, 12)]
    printed = list(lines(tree([span("1", "", "deliver chat_{name}", 0, 1), *handlers])))
    assert sum("Chat.chat_message" in line for line in printed) == 3
    assert printed[-1].strip() == "└─ … and 7 more"


def test_what_is_out_of_the_ordinary_is_said() -> None:
    attributes = {
        "realtime_gateway.fan_out": 25,
        "realtime_gateway.tries": 1,
        "realtime_gateway.replayed": True,
        "realtime_gateway.wait.sender_ms": 0,
        "realtime_gateway.wait.redis_ms": 12.34,
        "realtime_gateway.wait.redis_error_ms": 0.25,
    }
    assert about(span("1", "", "deliver", 0, 1, attributes=attributes)) == "to 25, replayed, 12.3 ms in Redis ± 0.2 ms"
    failed = span("1", "", "Chat.receive", 0, 1, is_failed=True, attributes={"error.type": "ValueError"})
    assert about(failed) == "failed: ValueError"
    assert about(span("1", "", "x", 0, 1, attributes={"realtime_gateway.wait.redis_ms": "words"})) == ""


def test_a_span_that_lasts_for_nothing_has_a_bar() -> None:
    assert "█" in list(lines(tree([span("1", "", "x", 0, 0)])))[-1]


def test_a_span_that_is_its_own_parent_is_said_and_nothing_fails() -> None:
    assert list(lines(tree([span("1", "1", "loop", 0, 1)]))) == [
        "no span of this trace has a beginning: their processes name one another as parents"
    ]
