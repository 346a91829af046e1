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
from collections.abc import Callable, Mapping, Sequence
from random import getrandbits
from time import time_ns
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import (
    Link,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)
from opentelemetry.util.types import Attributes, AttributeValue

if TYPE_CHECKING:
    from realtime_gateway.telemetry.plain_tracer import PlainTracer

logger = logging.getLogger("realtime_gateway.telemetry")

# What is set without asking the SDK whether it may be; its own bounds are above that, or else it makes all spans.
PLAIN: Final = frozenset({str, bool, int, float})
MOST_ATTRIBUTES = 32
MOST_EVENTS = 8

_OK = Status(StatusCode.UNSET)
_FAILED = Status(StatusCode.ERROR)


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
        if type(value) is int and not -(2**63) <= value < 2**63:
            is_plain = False  # which OTLP cannot say, and the SDK knows what to do about
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
