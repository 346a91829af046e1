"""A client's handshake and messages, as spans of the server: nothing here lasts as long as a connection does."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    set_span_in_context,
)

from realtime_gateway import endings
from realtime_gateway.telemetry import kept, propagation, recorder
from realtime_gateway.telemetry.crowd import SUM_KEY, Sum
from realtime_gateway.telemetry.spans import (
    HANDSHAKE_RESULT,
    OPCODE,
    SOCKETS,
    SPAN_KEY,
    UNSENT_BYTES,
    WIRED,
    ClientMessage,
    TracedMessage,
    Tracing,
    failed,
    in_connection,
    is_chosen,
    sent_attributes,
    wall_ns,
)

# The handshake

# Among a scope's extensions: the span, for whoever decides about the handshake.
SCOPE_KEY = "realtime_gateway.handshake"


class Handshake:
    """The span of one handshake, until it is answered; by the HTTP conventions, since it is a request."""

    __slots__ = ("_is_open", "span")

    def __init__(self, span: Span) -> None:
        self.span = span
        self._is_open = True

    def note(self, attribute: str, value: str) -> None:
        """Say what was decided; what comes after the answer is nothing of the handshake's."""
        if self._is_open:
            self.span.set_attribute(attribute, value)

    def ended(self, result: str, status: int | None) -> None:
        """End the span, once.

        Args:
            result: as the counter of handshakes calls it.
            status: of the response; None where none was sent.
        """
        if not self._is_open:
            return
        self._is_open = False
        self.span.set_attribute(HANDSHAKE_RESULT, result)
        if status is None:
            failed(self.span, result)
        else:
            self.span.set_attribute("http.response.status_code", status)
            if status >= 500:
                failed(self.span, str(status))
        self.span.end()


def note_handshake(scope: MutableMapping[str, Any], attribute: str, value: str) -> None:
    """Say on the span of a handshake, if it has one, what was decided about it."""
    handshake = (scope.get("extensions") or {}).get(SCOPE_KEY)
    if handshake is not None:
        handshake.note(attribute, value)


# Receive


class ConnectionSpans:
    """The spans of what one client sends: its handshake, then each message.

    Args:
        tracing: how to trace.
        parent: the context that the handshake brought, which every message continues.
        scheme: http or https.
        path: of the request.

    Attributes:
        handshake: its span; None where it is not traced.
        current: the span of the message that the application has taken and is not done with, where it is traced.
    """

    __slots__ = ("_base", "_links", "_parent", "_sampled", "_tracing", "_waiting", "current", "handshake")

    def __init__(self, tracing: Tracing, parent: NonRecordingSpan | None, scheme: str, path: str) -> None:
        self._tracing = tracing
        self._parent = None if parent is None else set_span_in_context(parent, Context())
        # What the client's side decided holds, so that a trace is whole or not there at all.
        self._sampled = None if parent is None else parent.get_span_context().trace_flags.sampled
        self._waiting: deque[Span] = deque()
        self.current: Span | None = None
        self._base: Context | None = None
        self.handshake = self._shake_hands(scheme, path)
        self._links = [] if self.handshake is None else [Link(self.handshake.span.get_span_context())]

    def _shake_hands(self, scheme: str, path: str) -> Handshake | None:
        tracing = self._tracing
        if not (tracing.starts_trace() if self._sampled is None else self._sampled):
            return None
        attributes: dict[str, Any] = {
            "http.request.method": "GET",
            "url.scheme": scheme,
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
            "http.request.header.upgrade": ["websocket"],
        }
        # A path holds names as those of groups are.
        shown = tracing.destinations.name_of(path)
        if shown is not None:
            attributes["url.path"] = shown
        span = tracing.tracer.start_span("GET", self._parent or Context(), SpanKind.SERVER, attributes)
        return Handshake(span) if span.is_recording() else None

    def connecting(self, message: dict[str, Any]) -> dict[str, Any]:
        """Return the application's first message, whose handler is a part of the handshake."""
        return message if self.handshake is None else TracedMessage(message, self.handshake.span, time.monotonic())

    def received(self, message: dict[str, Any], size_bytes: int) -> dict[str, Any]:
        """Begin the span of a message that has arrived, if it is traced; return what to hand to the application."""
        parent, sampled = self._parent, self._sampled
        if self._tracing.reads_messages and '"traceparent"' in (message.get("text") or ""):
            own = propagation.from_message(message["text"])
            if own is not None:
                parent, sampled = set_span_in_context(NonRecordingSpan(own), Context()), own.trace_flags.sampled
        if not (self._tracing.starts_trace() if sampled is None else sampled):
            return message
        attributes: dict[str, str | int] = {
            "network.protocol.name": "websocket",
            "messaging.message.body.size": size_bytes,
            OPCODE: "text" if "text" in message else "binary",
        }
        span = self._tracing.tracer.start_span(
            "websocket receive", parent or Context(), SpanKind.SERVER, attributes, self._links
        )
        if not span.is_recording():
            return message
        self._waiting.append(span)
        return ClientMessage(message, span, time.monotonic())

    def taken(self, message: dict[str, Any]) -> None:
        """Note that the application has the message."""
        if type(message) is not ClientMessage:
            return  # the first of all is a part of the handshake, which ends when it is answered
        if not self._waiting or self._waiting[0] is not message.span:
            return
        self.current = self._waiting.popleft()
        self.current.add_event("taken by the application")

    def continued_here(self, message: dict[str, Any]) -> None:
        """Make the span of the message just taken current in the task that took it.

        An application that is one task handles the message right here; one that has a task for receiving (as Channels
        has) ends that task now, and the message itself carries the span.
        """
        if self.current is not None and type(message) is ClientMessage and message.span is self.current:
            self._base = otel_context.get_current()
            otel_context.attach(set_span_in_context(message.span))

    def handled(self) -> None:
        """The application asks for the next message: it is done with the last one."""
        span, self.current = self.current, None
        if span is not None:
            if span.is_recording():
                span.end()
            if self._base is not None:
                otel_context.attach(self._base)
                self._base = None

    def application_ended(self, task: asyncio.Task[None]) -> None:
        """End what is open, once the application's task is over; what it has never taken as well."""
        error = None if task.cancelled() else task.exception()
        if self.current is not None:
            if self.current.is_recording():
                if error is not None:
                    failed(self.current, type(error).__qualname__)
                self.current.end()
            self.current = None
        elif error is not None:
            # What it failed at was not traced.
            self._keep(error)
        while self._waiting:
            span = self._waiting.popleft()
            span.add_event("never taken by the application")
            span.end()

    def _keep(self, error: BaseException) -> None:
        link = None if self.handshake is None else self.handshake.span.get_span_context()
        label = endings.APPLICATION_ERROR.label
        kept.failure("application failed", type(error).__qualname__, recorder.closed, label, link)


def connection(
    headers: Iterable[tuple[bytes, bytes]], query_string: bytes, scheme: str = "http", path: str = "/"
) -> ConnectionSpans | None:
    """Begin the spans of a new WebSocket; None while nothing is traced."""
    tracing = WIRED.tracing
    if tracing is None:
        return None
    parent = propagation.from_request(headers, query_string)
    return ConnectionSpans(tracing, None if parent is None else NonRecordingSpan(parent), scheme, path)


@contextmanager
def inside_connection() -> Iterator[None]:
    """What is started in the block handles a WebSocket's messages."""
    token = in_connection.set(True)
    try:
        yield
    finally:
        in_connection.reset(token)


# Send


Sending: TypeAlias = Span


def send(size_bytes: int, is_binary: bool) -> Sending | None:
    """Begin the span of a message to a client, for ``sent`` to end; None when its cause is not traced or summed up."""
    tracing = WIRED.tracing
    if tracing is None:
        return None
    # ``current``, without a call: this is asked for each member of each message, and mostly nothing is attached.
    context = otel_context.get_current()
    if not context:
        return None
    parent: Any = context.get(SPAN_KEY)
    found = context.get(SUM_KEY)
    # What is sent in a span of the project's own is told below that.
    if type(found) is Sum and found.span is parent and found.sends(size_bytes, is_binary):
        return None
    if parent is None or not is_chosen(parent):
        return None
    return tracing.under(parent, "websocket send", SpanKind.PRODUCER, sent_attributes(size_bytes, is_binary))


def sent_to_many(cause: SpanContext, size_bytes: int, is_binary: bool, sockets: int, began_at: float) -> None:
    """Make the span of a message that was rendered once and written to several sockets.

    Args:
        cause: the span of what rendered it.
        size_bytes: of the message.
        is_binary: whether it is no text.
        sockets: how many.
        began_at: when the first was written to, by the monotonic clock; all have been by now.
    """
    tracing = WIRED.tracing
    if tracing is not None:
        said = sent_attributes(size_bytes, is_binary) | {SOCKETS: sockets}
        parent = NonRecordingSpan(cause)
        tracing.under(parent, "websocket send", SpanKind.PRODUCER, said, wall_ns(began_at)).end()


def sent(sending: Sending, unsent_bytes: int) -> None:
    """End the span of a message that was written; ``unsent_bytes`` wait until the client takes more."""
    if unsent_bytes:
        sending.set_attribute(UNSENT_BYTES, unsent_bytes)
    sending.end()
