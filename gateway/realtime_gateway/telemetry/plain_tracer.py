"""What plain spans are made by, and what makes a span of the SDK of one that has to say more."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from random import getrandbits
from time import time_ns
from typing import Any, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from realtime_gateway.telemetry.plain_span import MOST_ATTRIBUTES, MOST_EVENTS, PlainSpan


class GivenIds(RandomIdGenerator):
    """Gives a span of the SDK the ids of the one whose place it takes."""

    def __init__(self) -> None:
        self._here = threading.local()

    def give(self, trace_id: int, span_id: int) -> None:
        """Say which ids the next span has that this thread starts."""
        self._here.ids = (trace_id, span_id)

    def generate_trace_id(self) -> int:
        """Return the id that was given, or a new one."""
        given = getattr(self._here, "ids", None)
        return super().generate_trace_id() if given is None else cast(int, given[0])

    def generate_span_id(self) -> int:
        """Return the id that was given, or a new one; it is used up."""
        given = getattr(self._here, "ids", None)
        self._here.ids = None
        return super().generate_span_id() if given is None else cast(int, given[1])


class PlainTracer(Tracer):
    """Makes spans that are plain data, all of them recorded: who asks for one has decided that.

    Args:
        provider: of ours, that samples what its parent does and has no parent; its processors get what the SDK makes.
        ids: that it takes ids from.
        scope: of the spans.

    Attributes:
        ended: what takes a span that has ended; the same that the provider's processors hand theirs to.
        resource: that the spans are of.
        scope: of the spans, as the SDK has it.
    """

    def __init__(self, provider: TracerProvider, ids: GivenIds, scope: str) -> None:
        self._sdk = provider.get_tracer(scope)
        self._ids = ids
        self.ended: tuple[Callable[[PlainSpan], None], ...] = ()
        # What the SDK says of each of its spans; this one goes nowhere, since it never ends.
        like = self._sdk.start_span("", Context())
        self._root_flags = like.get_span_context().trace_flags
        self._root_state = like.get_span_context().trace_state
        self.resource = cast(ReadableSpan, like).resource
        self.scope = cast(ReadableSpan, like).instrumentation_scope

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        *more: bool,
        **named: bool,
    ) -> Span:
        """As Tracer."""
        # Ours are of our own making, and nobody else has them.
        said = cast(dict[str, Any], {} if attributes is None else attributes)
        made = self.child(get_current_span(context), name, kind, said, start_time)
        if links and type(made) is PlainSpan:
            made.links = links
        return made

    def child(
        self, parent: Span, name: str, kind: SpanKind, attributes: dict[str, Any], start_ns: int | None = None
    ) -> Span:
        """Begin a span under another; ``attributes`` are the span's from now on."""
        if start_ns is None:
            start_ns = time_ns()
        if type(parent) is PlainSpan:
            above = (parent.trace_id, parent.span_id, False, parent.flags, parent.state)
            return PlainSpan(self, name, kind, attributes, above, start_ns)
        context = parent.get_span_context()
        if not context.is_valid:
            above = (getrandbits(128) or 1, 0, False, self._root_flags, self._root_state)
        elif context.trace_flags.sampled:
            flags = context.trace_flags
            if flags & ~self._root_flags:
                flags = TraceFlags(flags & self._root_flags)  # those alone that this version knows
            above = (context.trace_id, context.span_id, context.is_remote, flags, context.trace_state)
        else:
            return NonRecordingSpan(context)
        return PlainSpan(self, name, kind, attributes, above, start_ns)

    # The API's own return type is that of its private decorator, which nobody else can make.
    def start_as_current_span(self, *arguments: Any, **more: Any) -> AbstractContextManager[Span]:  # type: ignore[override]
        """As Tracer, by the SDK."""
        return cast(AbstractContextManager[Span], self._sdk.start_as_current_span(*arguments, **more))

    def whole(self, span: PlainSpan) -> Span:
        """Return a span of the SDK that says the same and has the same ids."""
        parent = span.parent_context
        above = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
        self._ids.give(span.trace_id, span.span_id)
        made = self._sdk.start_span(span.name, above, span.kind, span.attributes, span.links, span.start_ns)
        for name, at in span.moments:
            made.add_event(name, timestamp=at)
        if span.is_failed:
            made.set_status(StatusCode.ERROR)
        return made


def may_be_plain() -> bool:
    """Whether the bounds that OTEL_SPAN_… set for spans leave room for plain ones, which do not look at them."""
    bounds = SpanLimits()
    return (
        bounds.max_span_attribute_length is None
        and all(most is None or most >= MOST_ATTRIBUTES for most in (bounds.max_span_attributes, bounds.max_attributes))
        and all(most is None or most >= MOST_EVENTS for most in (bounds.max_events, bounds.max_links))
    )
