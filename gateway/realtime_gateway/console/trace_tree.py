"""Pure. The spans of a trace, as processes tell them, as a tree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from realtime_gateway.telemetry.recent import RecentSpan


@dataclass(frozen=True)
class Branch:
    """A span with what it has led to, earliest first."""

    span: RecentSpan
    branches: tuple[Branch, ...]


def spans_in(pages: Iterable[Any]) -> list[RecentSpan]:
    """Return the spans on ``/traces`` pages, each once; what is not of this form is left out."""
    found: dict[str, RecentSpan] = {}
    for page in pages:
        for each in page.get("spans", ()) if isinstance(page, dict) else ():
            try:
                span = _span(str(page.get("process") or "?"), each)
            except (KeyError, TypeError, ValueError, AttributeError):
                continue
            found[span.span_id] = span
    return list(found.values())


def _span(process: str, each: Mapping[str, Any]) -> RecentSpan:
    return RecentSpan(
        process=process,
        trace_id=str(each["trace_id"]),
        span_id=str(each["span_id"]),
        parent_id=str(each["parent_id"]),
        name=str(each["name"]),
        kind=str(each["kind"]),
        start_ns=int(each["start_ns"]),
        end_ns=int(each["end_ns"]),
        is_failed=bool(each["is_failed"]),
        attributes=dict(each["attributes"]),
        events=tuple((str(name), int(at)) for name, at in each.get("events", ())),
        links=tuple(map(str, each.get("links", ()))),
    )


def unhandled(spans: Iterable[RecentSpan]) -> int:
    """Return of how many members whom messages were delivered to no handler is among these.

    A handler that is called once for all its members (``@fanout``) counts for as many as were written to, and one span
    of many handlers for as many as it sums up.
    """
    told = list(spans)
    written, handlers = Counter[str](), Counter[str]()
    for span in told:
        if isinstance(sockets := span.attributes.get("realtime_gateway.sockets"), int):
            written[span.parent_id] += sockets
    for span in told:
        if "code.function.name" in span.attributes:
            members = span.attributes.get("realtime_gateway.members")
            handlers[span.parent_id] += members if isinstance(members, int) else written[span.span_id] or 1
    return sum(
        max(0, int(members) - handlers[span.span_id])
        for span in told
        if isinstance(members := span.attributes.get("realtime_gateway.fan_out"), int)
    )


def tree(spans: Iterable[RecentSpan]) -> tuple[Branch, ...]:
    """Return the roots: spans whose parent is not among these, which may be the client's or one not told yet."""
    ordered = sorted(spans, key=lambda span: (span.start_ns, -span.end_ns))
    known = {span.span_id for span in ordered}
    below: dict[str, list[RecentSpan]] = {}
    for span in ordered:
        below.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    # Children come after their parents, so that each branch is whole when it is put into its own; no recursion, as a
    # process may tell anything.
    made: dict[str, Branch] = {}
    reached = list(below.get("", ()))
    for span in reached:
        reached += below.get(span.span_id, ())
    for span in reversed(reached):
        made[span.span_id] = Branch(span, tuple(made[each.span_id] for each in below.get(span.span_id, ())))
    return tuple(made[span.span_id] for span in below.get("", ()))
