"""Spans along a message's way, as typed functions that do nothing until ``wire`` gives them a tracer.

    websocket receive      one per client message, from its arrival until the application asks for the next one
      publish <template>   what a handler sends through the channel layer, until a shard has stored it
        deliver <template> in each process that has members (once per process), until their mailboxes hold it
          websocket send   what a member's handler sends to its client, until the socket has it

Between the tasks of a process the context travels with the message, as ``TracedMessage``: a consumer's receivers run in
tasks of their own, so a context variable set there would never reach its handler. Between processes it travels in the
envelope (``propagation``).

A message is sampled where it enters, before any span is made. Measured with Python 3.11 on a busy two-core machine: one
that is not sampled costs 1 µs on its whole way (receive, publish, deliver, send), and 0.1 µs in a process that has no
tracer; the four spans of one that is cost 125 µs, nearly all of it in the SDK.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from realtime_gateway.telemetry import propagation
from realtime_gateway.telemetry.destinations import Templates

# The messaging conventions (semantic conventions 1.44 of OpenTelemetry) where they have a word; ours otherwise.
SYSTEM = "realtime_gateway"
SCOPE = "realtime_gateway"
FAN_OUT = "realtime_gateway.fan_out"
REFUSED = "realtime_gateway.refused"
SHARD = "realtime_gateway.shard"
DESTINATION_KIND = "realtime_gateway.destination.kind"
OPCODE = "realtime_gateway.websocket.opcode"


@dataclass(frozen=True)
class Tracing:
    """How this process traces.

    Attributes:
        tracer: makes the spans.
        starts_trace: asked for each message that has no parent: is it traced?
    """

    tracer: Tracer
    starts_trace: Callable[[], bool]


_tracing: Tracing | None = None
_templates = Templates()
# Set in what a WebSocket's application runs: there, a message without a span is one that was not sampled.
_in_connection: ContextVar[bool] = ContextVar("realtime_gateway_in_connection", default=False)


def wire(tracing: Tracing | None) -> None:
    """Begin to make spans; None ends it. Called once, by what starts the process."""
    global _tracing  # noqa: PLW0603 - the one switch that every function here looks at
    _tracing = tracing


def is_wired() -> bool:
    """Whether spans are made at all."""
    return _tracing is not None


class TracedMessage(dict[str, Any]):
    """A message, with the span that its handler is to continue. To its handler it is a dict like any other."""

    __slots__ = ("span",)

    def __init__(self, message: dict[str, Any], span: Span) -> None:
        super().__init__(message)
        self.span = span


@contextmanager
def context_of(message: TracedMessage) -> Iterator[None]:
    """Make the message's span the current one in the block; whatever else the context holds stays."""
    token = otel_context.attach(set_span_in_context(message.span))
    try:
        yield
    finally:
        otel_context.detach(token)


# Receive


class ConnectionSpans:
    """The receive spans of one WebSocket.

    Args:
        tracing: how to trace.
        parent: the context that the handshake brought, which every message continues.
    """

    __slots__ = ("_base", "_current", "_parent", "_sampled", "_tracing", "_waiting")

    def __init__(self, tracing: Tracing, parent: NonRecordingSpan | None) -> None:
        self._tracing = tracing
        self._parent = None if parent is None else set_span_in_context(parent, Context())
        # What the client's side decided holds, so that a trace is whole or not there at all.
        self._sampled = None if parent is None else parent.get_span_context().trace_flags.sampled
        self._waiting: deque[Span] = deque()
        self._current: Span | None = None
        self._base: Context | None = None

    def received(self, message: dict[str, Any], size_bytes: int) -> dict[str, Any]:
        """Begin the span of a message that has arrived, if it is traced; return what to hand to the application."""
        if not (self._tracing.starts_trace() if self._sampled is None else self._sampled):
            return message
        attributes: dict[str, str | int] = {
            "network.protocol.name": "websocket",
            "messaging.message.body.size": size_bytes,
            OPCODE: "text" if "text" in message else "binary",
        }
        span = self._tracing.tracer.start_span(
            "websocket receive", self._parent or Context(), SpanKind.SERVER, attributes
        )
        if not span.is_recording():
            return message
        self._waiting.append(span)
        return TracedMessage(message, span)

    def taken(self, message: dict[str, Any]) -> None:
        """Note that the application has the message, and make its span current in the task that took it."""
        if type(message) is not TracedMessage:
            return
        self._current = self._waiting.popleft()
        self._current.add_event("taken by the application")
        # An application that is one task handles the message right here; one that has a task for receiving (as Channels
        # has) ends that task now, and the message itself carries the span.
        self._base = otel_context.get_current()
        otel_context.attach(set_span_in_context(message.span))

    def handled(self) -> None:
        """The application asks for the next message: it is done with the last one."""
        span, self._current = self._current, None
        if span is not None:
            span.end()
            otel_context.attach(self._base or Context())

    def application_ended(self, task: asyncio.Task[None]) -> None:
        """End what is open, once the application's task is over; what it has never taken as well."""
        if self._current is not None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                _failed(self._current, type(error).__qualname__)
            self._current.end()
            self._current = None
        while self._waiting:
            span = self._waiting.popleft()
            span.add_event("never taken by the application")
            span.end()


def connection(headers: Iterable[tuple[bytes, bytes]], query_string: bytes) -> ConnectionSpans | None:
    """Return what makes the receive spans of a new WebSocket; None while nothing is traced."""
    if _tracing is None:
        return None
    parent = propagation.from_request(headers, query_string)
    return ConnectionSpans(_tracing, None if parent is None else NonRecordingSpan(parent))


@contextmanager
def inside_connection() -> Iterator[None]:
    """What is started in the block handles a WebSocket's messages."""
    token = _in_connection.set(True)
    try:
        yield
    finally:
        _in_connection.reset(token)


# Publish


class Publication:
    """The span of one message on its way to a shard; ``with`` ends it.

    Attributes:
        trace: the bytes that carry its context.
    """

    __slots__ = ("_span", "trace")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.trace = propagation.pack(span.get_span_context())

    def settled(self, verdict: str, shard: str) -> None:
        """Say how it ended; any verdict but ``done`` is a failure."""
        if shard:
            self._span.set_attribute(SHARD, shard)
        if verdict != "done":
            _failed(self._span, verdict)

    def __enter__(self) -> Publication:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            _failed(self._span, kind.__qualname__)
        self._span.end()


def publish(kind: str, name: str, size_bytes: int) -> Publication | None:
    """Begin the span of a message that is sent through the layer; None when it is not traced.

    Args:
        kind: ``group``, ``channel`` or ``queue``.
        name: of the destination.
        size_bytes: of the message as it is stored.
    """
    tracing = _tracing
    if tracing is None:
        return None
    parent = _current()
    if parent is not None:
        if not parent.trace_flags.sampled:
            return None
    elif _in_connection.get() or not tracing.starts_trace():
        return None
    span = _messaging_span(tracing, "publish", SpanKind.PRODUCER, kind, name, None)
    if not span.is_recording():
        return None
    span.set_attribute("messaging.message.body.size", size_bytes)
    return Publication(span)


# Deliver


class Body(Protocol):
    """A message's bytes, decoded for each member."""

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        ...


class TracedBody:
    """A body whose messages continue the span of their delivery."""

    __slots__ = ("_body", "_span")

    def __init__(self, body: Body, span: Span) -> None:
        self._body = body
        self._span = span

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has; what is no dict, in a queue, cannot carry a span."""
        message = self._body.decode()
        return TracedMessage(message, self._span) if isinstance(message, dict) else message


class Delivery:
    """The span of one message that is put into the mailboxes of this process."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    def carried_by(self, body: Body) -> TracedBody:
        """Return a body whose messages continue this span."""
        return TracedBody(body, self._span)

    def ended(self, fan_out: int, refused: int = 0) -> None:
        """End the span with how many mailboxes took the message, and how many were full."""
        self._span.set_attribute(FAN_OUT, fan_out)
        if refused:
            self._span.set_attribute(REFUSED, refused)
        self._span.end()


def deliver(trace: bytes, kind: str, name: str) -> Delivery | None:
    """Begin the span of a message that has come from Redis; None when its sender did not trace it."""
    tracing = _tracing
    if tracing is None or not trace:
        return None
    parent = propagation.unpack(trace)
    if parent is None or not parent.trace_flags.sampled:
        return None
    context = set_span_in_context(NonRecordingSpan(parent), Context())
    span = _messaging_span(tracing, "deliver", SpanKind.CONSUMER, kind, name, context)
    return Delivery(span) if span.is_recording() else None


# Send


Sending: TypeAlias = Span


def send(size_bytes: int, is_binary: bool) -> Sending | None:
    """Begin the span of a message to a client, for the caller to end; None when what caused it is not traced."""
    tracing = _tracing
    if tracing is None:
        return None
    parent = _current()
    if parent is None or not parent.trace_flags.sampled:
        return None
    attributes: dict[str, str | int] = {
        "network.protocol.name": "websocket",
        "messaging.message.body.size": size_bytes,
        OPCODE: "binary" if is_binary else "text",
    }
    return tracing.tracer.start_span("websocket send", None, SpanKind.PRODUCER, attributes)


def _current() -> SpanContext | None:
    # Nothing at all is attached where a message is not traced, and looking that up is the quickest there is.
    context = otel_context.get_current()
    if not context:
        return None
    found = get_current_span(context).get_span_context()
    return found if found.is_valid else None


def _messaging_span(
    tracing: Tracing, operation: str, span_kind: SpanKind, kind: str, name: str, context: Context | None
) -> Span:
    template = _templates.of(kind, name)
    attributes = {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": "send" if span_kind is SpanKind.PRODUCER else "process",
        "messaging.destination.template": template,
        DESTINATION_KIND: kind,
    }
    return tracing.tracer.start_span(f"{operation} {template}", context, span_kind, attributes)


def _failed(span: Span, error_type: str) -> None:
    # The type alone: an exception's text may hold what the message said.
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)
