"""Spans that processes tell, as a tree."""

from __future__ import annotations

from typing import Any

from realtime_gateway.console.trace_tree import Branch, spans_in, tree, unhandled
from realtime_gateway.telemetry.recent import RecentSpan


def span(number: str, parent: str = "", start: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "trace_id": "t",
        "span_id": number,
        "parent_id": parent,
        "name": f"span {number}",
        "kind": "INTERNAL",
        "start_ns": start,
        "end_ns": start + 10,
        "is_failed": False,
        "attributes": {},
        **more,
    }


def drawn(branches: tuple[Branch, ...]) -> list[Any]:
    return [[branch.span.span_id, *drawn(branch.branches)] for branch in branches]


def test_spans_of_several_processes_are_one_tree_ordered_by_time() -> None:
    a = {"process": "a", "spans": [span("2", "1", 5), span("1", "client", 1)]}
    b = {"process": "b", "spans": [span("4", "2", 8), span("3", "2", 7)]}
    spans = spans_in([a, b])
    assert [each.process for each in spans] == ["a", "a", "b", "b"]
    assert drawn(tree(spans)) == [["1", ["2", ["3"], ["4"]]]]


def test_a_span_whose_parent_nobody_tells_is_a_root() -> None:
    assert drawn(tree(spans_in([{"process": "a", "spans": [span("2", "lost", 5), span("1", "", 1)]}]))) == [
        ["1"],
        ["2"],
    ]


def test_what_is_no_span_is_left_out_and_what_comes_twice_is_one() -> None:
    page = {"process": "a", "spans": [span("1"), {"span_id": "2"}, "words", span("1"), span("3", start_ns="x")]}
    assert [each.span_id for each in spans_in([page, None, "words", {}])] == ["1"]


def test_a_circle_and_a_long_chain_harm_nobody() -> None:
    circle = [span("1", "2"), span("2", "1")]
    chain = [span(str(number), str(number - 1), number) for number in range(100, 5_000)]
    roots = tree(spans_in([{"process": "a", "spans": [*circle, *chain]}]))
    assert [branch.span.span_id for branch in roots] == ["100"]


def test_a_delivery_tells_how_many_have_to_handle_it() -> None:
    def told(span_id: str, parent_id: str, **attributes: object) -> RecentSpan:
        return RecentSpan("t", span_id, parent_id, "a", "INTERNAL", 1, 2, attributes=attributes)

    fan_out, function = "realtime_gateway.fan_out", "code.function.name"
    spans = [told("1", "", **{fan_out: 3}), told("2", "", **{fan_out: 1}), told("3", "2", **{function: "a"})]
    assert unhandled(spans) == 3
    spans += [told(f"h{number}", "1", **{function: "a"}) for number in range(2)]
    assert unhandled(spans) == 1
    assert unhandled([*spans, told("h2", "1", **{function: "a"}), told("h3", "1", **{function: "a"})]) == 0
    sockets = "realtime_gateway.sockets"
    rendered = [told("1", "", **{fan_out: 3}), told("h", "1", **{function: "a"}), told("s", "h", **{sockets: 2})]
    assert unhandled(rendered) == 1, "one is busy, and gets it when it is not"
    assert unhandled([*rendered, told("t", "h", **{sockets: 1})]) == 0
    members = "realtime_gateway.members"
    crowd = [told("1", "", **{fan_out: 9}), told("h", "1", **{function: "a"}), told("s", "h", **{sockets: 1})]
    assert unhandled([*crowd, told("r", "1", **{function: "a", members: 7}), told("u", "r", **{sockets: 7})]) == 1
    assert unhandled([*crowd, told("r", "1", **{function: "a", members: 8}), told("u", "r", **{sockets: 7})]) == 0
