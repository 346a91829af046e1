"""Spans along a message's way, as typed functions that do nothing until ``wire`` gives them a tracer.

    GET                         the handshake, until it is answered (``socket_spans``, as what follows)
    websocket receive           one per client message, from its arrival until its handler ends
      Chat.websocket_receive    its handler (``handling`` below, as that of every message)
        publish <template>      what it sends through the channel layer, until a shard has stored it (``layer_spans``)
          EVALSHA publish       the shard's answer
          deliver <template>    in each process that has members (once per process), until their mailboxes hold it
            Chat.chat_message   each member's handler; a ``@fanout`` one, which is called once, for all members
              websocket send    what it sends to its client, until the socket has it; for all sockets written to at once

Between the tasks of a process the context travels with the message, as ``TracedMessage``: a consumer's receivers run in
tasks of their own, so a context variable set there would never reach its handler. Between processes it travels in the
envelope (``propagation``).

A message is sampled where it enters, before any span is made. What that and the spans cost says docs/observability.md.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Any, Protocol, SupportsIndex, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    INVALID_SPAN,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from realtime_gateway.telemetry.destinations import Destinations

# OpenTelemetry's conventions where they have a word (1.44: messaging, HTTP, databases, code); ours otherwise.
SYSTEM = "realtime_gateway"
SCOPE = "realtime_gateway"
FAN_OUT = "realtime_gateway.fan_out"
REFUSED = "realtime_gateway.refused"
DUPLICATES = "realtime_gateway.duplicates"
KEPT = "realtime_gateway.kept"
REPLAYED = "realtime_gateway.replayed"
SHARD = "realtime_gateway.shard"
TRIES = "realtime_gateway.tries"
DESTINATION_KIND = "realtime_gateway.destination.kind"
OPCODE = "realtime_gateway.websocket.opcode"
HANDSHAKE_RESULT = "realtime_gateway.handshake.result"
ORIGIN = "realtime_gateway.handshake.origin"
AUTH = "realtime_gateway.handshake.auth"
# Where a message has waited, in milliseconds.
MAILBOX_MS = "realtime_gateway.wait.mailbox_ms"
SENDER_MS = "realtime_gateway.wait.sender_ms"
REDIS_MS = "realtime_gateway.wait.redis_ms"
REDIS_ERROR_MS = "realtime_gateway.wait.redis_error_ms"
UNSENT_BYTES = "realtime_gateway.socket.unsent_bytes"
SOCKETS = "realtime_gateway.sockets"
FUNCTION = "code.function.name"
# Of members that are summed up (``crowd``).
MEMBERS = "realtime_gateway.members"
LONGEST_MS = "realtime_gateway.longest_ms"
TOTAL_MS = "realtime_gateway.total_ms"


class Under(Protocol):
    """Begins a span under another."""

    def __call__(
        self, parent: Span, name: str, kind: SpanKind, attributes: dict[str, Any], began_ns: int | None = None, /
    ) -> Span:
        """Begin it, now or at a time in ns since the epoch."""
        ...


@dataclass(frozen=True)
class Tracing:
    """How this process traces.

    Attributes:
        tracer: makes the spans.
        starts_trace: asked for each message that has no parent: is it traced?
        destinations: what they call the places that messages go to.
        reads_messages: whether a JSON message may bring a context of its own.
        child: the tracer's own way to do what ``under`` does; None where it has none.
        under: begins a span under another; the attributes are the span's from now on.
    """

    tracer: Tracer
    starts_trace: Callable[[], bool]
    destinations: Destinations = field(default_factory=Destinations)
    reads_messages: bool = False
    child: Under | None = None

    under: Under = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "under", self.child or self._start)

    def _start(
        self, parent: Span, name: str, kind: SpanKind, attributes: dict[str, Any], began_ns: int | None = None
    ) -> Span:
        context = set_span_in_context(parent)
        return self.tracer.start_span(name, context, kind, attributes, start_time=began_ns)


class Wired:
    """The one switch that every function here looks at, and the modules beside it."""

    __slots__ = ("tracing",)

    def __init__(self) -> None:
        self.tracing: Tracing | None = None


WIRED = Wired()
# Set in what a WebSocket's application runs: there, a message without a span is one that was not sampled.
in_connection: ContextVar[bool] = ContextVar("realtime_gateway_in_connection", default=False)


def wire(tracing: Tracing | None) -> None:
    """Begin to make spans; None ends it. Called once, by what starts the process."""
    WIRED.tracing = tracing


def is_wired() -> bool:
    """Whether spans are made at all."""
    return WIRED.tracing is not None


# What later spans continue, where the span itself has ended.
Cause: TypeAlias = SpanContext


class TracedMessage(dict[str, Any]):
    """A message, with the span that its handler is to continue. To its handler it is a dict like any other.

    A copy of it, and what comes out of its pickle, is a plain dict.

    Attributes:
        span: the span.
        waits_since: when it came here, by the monotonic clock.
        crowd: what sums up its handler with others (``crowd.Crowd``); None where that has a span of its own.
    """

    __slots__ = ("crowd", "span", "waits_since")

    def __init__(self, message: dict[str, Any], span: Span, waits_since: float, crowd: Any = None) -> None:
        dict.__init__(self, message)
        self.span = span
        self.waits_since = waits_since
        self.crowd = crowd

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Be copied and pickled as what it says alone: a span belongs to this process, and has a lock."""
        return dict, (dict(self),)


class ClientMessage(TracedMessage):
    """A message of a client; its span ends with its handler, or when the application asks for the next message."""

    __slots__ = ()


@contextmanager
def context_of(message: TracedMessage) -> Iterator[None]:
    """Make the message's span the current one in the block; whatever else the context holds stays."""
    token = otel_context.attach(set_span_in_context(message.span))
    try:
        yield
    finally:
        otel_context.detach(token)


def handling(
    message: TracedMessage, consumer: type, handler: str, ends_by: type[BaseException] | tuple[()]
) -> AbstractContextManager[None]:
    """Make a span of what a consumer does with a message in the block.

    Args:
        message: the message.
        consumer: its class.
        handler: the name of the method; it comes with the message, and so from anybody.
        ends_by: the exception that is no failure, if any.
    """
    tracing = WIRED.tracing
    if tracing is None:
        return context_of(message)
    name, function = named(consumer, handler)
    said = {FUNCTION: function, MAILBOX_MS: milliseconds(time.monotonic() - message.waits_since)}
    return _Handling(message, tracing.under(message.span, name, SpanKind.INTERNAL, said), ends_by)


class _Handling:
    """A handler's span, in the block; a class, since a generator costs a microsecond more for each member."""

    __slots__ = ("_ends_by", "_message", "_span", "_token")

    def __init__(self, message: TracedMessage, span: Span, ends_by: type[BaseException] | tuple[()]) -> None:
        self._message = message
        self._span = span
        self._ends_by = ends_by

    def __enter__(self) -> None:
        self._token = otel_context.attach(context_with(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        message = self._message
        if error is not None and not isinstance(error, self._ends_by):
            failed(self._span, type(error).__qualname__)
            if type(message) is ClientMessage:
                failed(message.span, type(error).__qualname__)
        otel_context.detach(self._token)
        self._span.end()
        # Until the consumer asks for the next message it may handle others, of groups.
        if type(message) is ClientMessage and message.span.is_recording():
            message.span.end()


# For the modules beside this one

SPAN_KEY = next(iter(set_span_in_context(INVALID_SPAN, Context())))


def context_with(span: Span) -> Context:
    """Return the current context with a span in it; ``set_span_in_context`` makes three dicts for it."""
    here = otel_context.get_current()
    return set_span_in_context(span, here) if here else Context({SPAN_KEY: span})


def named(consumer: type, handler: str) -> tuple[str, str]:
    """Return what the span of a handler is called, and the function in it; its name comes with the message."""
    return _named(consumer, handler if hasattr(consumer, handler) else "{no handler}")


@lru_cache(512)
def _named(consumer: type, function: str) -> tuple[str, str]:
    return f"{consumer.__name__}.{function}", f"{consumer.__module__}.{consumer.__qualname__}.{function}"


def is_chosen(span: Span) -> bool:
    """Whether what a span leads to is traced."""
    if getattr(span, "is_chosen", False):  # one of our own: to ask for its context would be to make that
        return True
    context = span.get_span_context()
    return context.is_valid and context.trace_flags.sampled


def current() -> SpanContext | None:
    """Return the context of the current span; None where there is none."""
    # Nothing at all is attached where a message is not traced, and looking that up is the quickest there is.
    context = otel_context.get_current()
    if not context:
        return None
    found = get_current_span(context).get_span_context()
    return found if found.is_valid else None


def messaging_span(tracing: Tracing, operation: str, span_kind: SpanKind, kind: str, name: str, parent: Span) -> Span:
    """Begin a span by the messaging conventions."""
    template = tracing.destinations.template_of(kind, name)
    attributes: dict[str, Any] = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": "send" if span_kind is SpanKind.PRODUCER else "process",
        "messaging.destination.template": template,
        DESTINATION_KIND: kind,
    }
    shown = tracing.destinations.name_of(name)
    if shown is not None:
        attributes["messaging.destination.name"] = shown
    return tracing.under(parent, f"{operation} {template}", span_kind, attributes)


def sent_attributes(size_bytes: int, is_binary: bool) -> dict[str, Any]:
    """Return what a span says of a message to a client."""
    return {
        "network.protocol.name": "websocket",
        "messaging.message.body.size": size_bytes,
        OPCODE: "binary" if is_binary else "text",
    }


def failed(span: Span, error_type: str) -> None:
    """Mark a span as failed."""
    # The type alone: an exception's text may hold what the message said.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


def milliseconds(seconds: float) -> float:
    """Return seconds as attributes have them."""
    return int(seconds * 1e6 + 0.5) / 1000  # a third of what round() costs


def wall_ns(monotonic: float) -> int:
    """Return when a moment of the monotonic clock was, as spans have it."""
    return time.time_ns() - int((time.monotonic() - monotonic) * 1e9)
