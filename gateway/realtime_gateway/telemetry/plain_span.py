"""Spans of our own, as plain data: what a trace of a large room is made of by the hundred.

A span of the SDK takes 22 µs to make and 30 µs to encode on the two-core machine where all figures here are measured:
locks, bounded containers, a sampler that is asked for what is decided already, and a second object at its end. One of
these takes 2 µs, and 4 µs to encode (``span_bytes``). They are made only where the provider is one of ours, which
nobody else has; a project's own provider makes its own spans.

To whoever asks for the current span it is a span like any other. What is more than a name, a few plain attributes and
failure (links, exceptions, long lists) is left to the SDK, in a span of the same ids that then takes its place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from random import getrandbits
from time import time_ns
from types import TracebackType
from typing import Any, Final, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes, AttributeValue

logger = logging.getLogger("realtime_gateway.telemetry")

# What is set without asking the SDK whether it may be; its own bounds are above that, or else it makes all spans.
PLAIN: Final = frozenset({str, bool, int, float})
MOST_ATTRIBUTES = 32
MOST_EVENTS = 8

_OK = Status(StatusCode.UNSET)
_FAILED = Status(StatusCode.ERROR)


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


class PlainSpan(Span):
    """One span.

    Attributes:
        parent_id: 0 for none.
        flags: as ``traceparent`` has them.
        attributes: what was set.
        moments: names of its events, and when, in ns since the epoch.
        is_failed: whether its status is an error.
        end_ns: 0 while it has not ended.
    """

    is_chosen = True  # ``spans`` asks for it
    # Of most spans until they end, and so not set for each.
    end_ns = 0
    is_failed = False
    links: Sequence[Link] = ()
    moments: Sequence[tuple[str, int]] = ()
    _context: SpanContext | None = None
    _whole: Span | None = None  # the SDK's, which has taken its place

    def __init__(
        self,
        tracer: PlainTracer,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any],
        parent: tuple[int, int, bool, TraceFlags, TraceState],
        start_ns: int,
    ) -> None:
        self._tracer = tracer
        self.name = name
        self.kind = kind
        self.attributes = attributes
        self.trace_id, self.parent_id, self.parent_is_remote, self.flags, self.state = parent
        self.span_id = getrandbits(64) or 1
        self.start_ns = start_ns

    def __getattr__(self, name: str) -> Any:
        """Return what a span of the SDK tells beside the API, such as ``start_time`` or ``to_json``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.readable() if self._whole is None else self._whole, name)

    def get_span_context(self) -> SpanContext:
        """Return its ids; made when somebody asks, as nobody does of most spans."""
        if self._context is None:
            self._context = SpanContext(self.trace_id, self.span_id, False, self.flags, self.state)
        return self._context

    def is_recording(self) -> bool:
        """Whether it has not ended."""
        return not self.end_ns

    def set_attribute(self, key: str, value: Any) -> None:
        """As Span."""
        is_plain = type(value) in PLAIN and type(key) is str and key and len(self.attributes) < MOST_ATTRIBUTES
        if is_plain and self._whole is None and not self.end_ns:
            self.attributes[key] = value
        else:
            self._do(lambda span: span.set_attribute(key, value))

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """As Span."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """As Span."""
        if self._whole is None and not self.end_ns and not attributes and len(self.moments) < MOST_EVENTS:
            self.moments = [*self.moments, (name, time_ns() if timestamp is None else timestamp)]
            return
        self._do(lambda span: span.add_event(name, attributes, timestamp))

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """As Span."""
        self._do(lambda span: span.add_link(context, attributes))

    def update_name(self, name: str) -> None:
        """As Span."""
        self._do(lambda span: span.update_name(name))

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """As Span."""
        if self._whole is None and not self.end_ns and status is StatusCode.ERROR and description is None:
            self.is_failed = True
            return
        self._do(lambda span: span.set_status(status, description))

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """As Span."""
        self._do(lambda span: span.record_exception(exception, attributes, timestamp, escaped))

    def end(self, end_time: int | None = None) -> None:
        """As Span: it goes on its way to whoever takes spans."""
        if self.end_ns:
            logger.warning("A span was ended that has ended before: %s", self.name)
            return
        self.end_ns = time_ns() if end_time is None else end_time
        if self._whole is None:
            for take in self._tracer.ended:
                take(self)
        else:
            self._whole.end(self.end_ns)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """As the SDK's: an exception is an event, and a failure."""
        if error is not None and self.is_recording():
            self.record_exception(error)
            self.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        self.end()

    @property
    def parent_context(self) -> SpanContext | None:
        """The ids of its parent."""
        if not self.parent_id:
            return None
        return SpanContext(self.trace_id, self.parent_id, self.parent_is_remote, self.flags, self.state)

    def readable(self) -> ReadableSpan:
        """Return it in the form that exporters of the SDK take."""
        return ReadableSpan(
            self.name,
            self.get_span_context(),
            self.parent_context,
            self._tracer.resource,
            self.attributes,
            [Event(name, timestamp=at) for name, at in self.moments],
            self.links,
            self.kind,
            status=_FAILED if self.is_failed else _OK,
            start_time=self.start_ns,
            end_time=self.end_ns or None,
            instrumentation_scope=self._tracer.scope,
        )

    def _do(self, change: Callable[[Span], None]) -> None:
        """Leave a change to the SDK, from now on all of them."""
        if self._whole is None:
            if self.end_ns:
                logger.warning("A span was changed that has ended: %s", self.name)
                return
            self._whole = self._tracer.whole(self)
        change(self._whole)


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
