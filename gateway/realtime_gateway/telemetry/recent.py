"""The last spans of this process, in memory, for whoever asks its admin port: bounded, and forgotten oldest first.

Who reads them (``console``) takes the form of a span from here, too.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

# What one answer holds at most: writing it keeps the event loop of a gateway for some 40 ms.
MOST_SPANS = 500
TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class RecentSpan:
    """One span that has ended.

    Attributes:
        parent_id: "" for none.
        kind: in capitals, as OpenTelemetry names them.
        start_ns: since the epoch.
        end_ns: likewise.
        events: names, and when, in ns since the epoch.
        links: ids of the traces that it is linked to.
        process: that has made it; "" in that process itself.
    """

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    start_ns: int
    end_ns: int
    is_failed: bool = False
    attributes: Mapping[str, Any] = field(default_factory=dict)
    events: tuple[tuple[str, int], ...] = ()
    links: tuple[str, ...] = ()
    process: str = ""


class RecentSpans:
    """A ring of spans; a span may be added from any thread."""

    def __init__(self, number: int) -> None:
        self._spans: deque[RecentSpan] = deque(maxlen=number)

    def add(self, span: RecentSpan) -> None:
        """Add the newest."""
        self._spans.append(span)

    def of(self, trace_id: str) -> list[RecentSpan]:
        """Return the last MOST_SPANS of what is kept of one trace, oldest first."""
        return [span for span in list(self._spans) if span.trace_id == trace_id][-MOST_SPANS:]

    def newest(self, number: int) -> list[RecentSpan]:
        """Return the last few, oldest first."""
        return list(self._spans)[-number:]


_kept: RecentSpans | None = None


def keep(number: int) -> RecentSpans:
    """Begin to keep spans; called once, by what wires the process."""
    global _kept  # noqa: PLW0603 - the process has one admin port, which reads it
    _kept = RecentSpans(number)
    return _kept


def answer(process: str | None, trace_id: str | None) -> tuple[int, str, bytes]:
    """Answer a request for ``/traces``: status, content type and body.

    Args:
        process: what this one is called.
        trace_id: as it is asked for; None asks for the newest spans.
    """
    if trace_id is not None and not TRACE_ID.fullmatch(trace_id):
        return 400, "text/plain", b"trace_id has 32 hexadecimal digits.\n"
    return 200, "application/json", page(process, trace_id)


def page(process: str | None, trace_id: str | None) -> bytes:
    """Return, as JSON, the spans that are kept of a trace, or the newest of all.

    ``keeps`` says whether any are kept here at all. A trace of more than MOST_SPANS, as that of a connection whose
    client sent a ``traceparent`` in its handshake may be, is told without its beginning.
    """
    found = [] if _kept is None else _kept.newest(MOST_SPANS) if trace_id is None else _kept.of(trace_id)
    told = [asdict(span) for span in found]
    for span in told:
        del span["process"]
    return json.dumps({"process": process, "keeps": _kept is not None, "spans": told}, default=str).encode() + b"\n"
