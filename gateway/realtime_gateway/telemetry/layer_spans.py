"""A message's way through the channel layer, as spans: published, stored by a shard, delivered in each process."""

from __future__ import annotations

import time
from math import isfinite
from types import TracebackType
from typing import Any, Protocol

from opentelemetry.trace import NonRecordingSpan, Span, SpanKind, get_current_span

from realtime_gateway.telemetry import propagation
from realtime_gateway.telemetry.crowd import DETAILED, Crowd
from realtime_gateway.telemetry.spans import (
    DUPLICATES,
    FAN_OUT,
    REDIS_ERROR_MS,
    REDIS_MS,
    REFUSED,
    REPLAYED,
    SENDER_MS,
    SHARD,
    TRIES,
    WIRED,
    TracedMessage,
    failed,
    in_connection,
    messaging_span,
    milliseconds,
    wall_ns,
)

# Publish


class RoundTrip(Protocol):
    """The script call that has stored a message, by the monotonic clock."""

    @property
    def sent_at(self) -> float:
        """When it was sent."""
        ...

    @property
    def answered_at(self) -> float:
        """When the answer came."""
        ...

    @property
    def messages(self) -> int:
        """How many messages it had."""
        ...

    @property
    def tries(self) -> int:
        """How many calls the message was in."""
        ...


class Publication:
    """The span of one message on its way to a shard; ``with`` ends it.

    Attributes:
        trace: the bytes that carry its context.
    """

    __slots__ = ("_began_ns", "_span", "trace")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._began_ns = time.time_ns()
        self.trace = propagation.pack(span.get_span_context())

    def settled(self, verdict: str, shard: str, trip: RoundTrip | None) -> None:
        """Say how it ended; any verdict but ``done`` is a failure."""
        if shard:
            self._span.set_attribute(SHARD, shard)
        if verdict != "done":
            failed(self._span, verdict)
        if trip is not None:
            self._span.set_attribute(TRIES, trip.tries)
            self._stored(shard, trip)

    def _stored(self, shard: str, trip: RoundTrip) -> None:
        tracing = WIRED.tracing
        if tracing is None:
            return
        # By the database conventions, with the script as what they call a stored procedure.
        attributes: dict[str, Any] = {
            "db.system.name": "redis",
            "db.operation.name": "EVALSHA",
            "db.stored_procedure.name": "publish",
            SHARD: shard,
        }
        if trip.messages > 1:
            attributes["db.operation.batch.size"] = trip.messages
        # A loop's clock stands still in each of its turns, so the call may seem to be older than the message.
        began_ns = max(wall_ns(trip.sent_at), self._began_ns)
        span = tracing.under(self._span, "EVALSHA publish", SpanKind.CLIENT, attributes, began_ns)
        span.end(max(wall_ns(trip.answered_at), began_ns))

    def __enter__(self) -> Publication:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            failed(self._span, kind.__qualname__)
        self._span.end()


def publish(kind: str, name: str, size_bytes: int) -> Publication | None:
    """Begin the span of a message that is sent through the layer; None when it is not traced.

    Args:
        kind: ``group``, ``channel`` or ``queue``.
        name: of the destination.
        size_bytes: of the message as it is stored.
    """
    tracing = WIRED.tracing
    if tracing is None:
        return None
    parent = get_current_span()
    context = parent.get_span_context()
    if context.is_valid:
        if not context.trace_flags.sampled:
            return None
    elif in_connection.get() or not tracing.starts_trace():
        return None
    span = messaging_span(tracing, "publish", SpanKind.PRODUCER, kind, name, parent)
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
    """A body whose messages continue the span of their delivery, the first of them each by a span of its own."""

    __slots__ = ("_body", "_crowd", "_decoded", "_span", "_waits_since")

    def __init__(self, body: Body, span: Span) -> None:
        self._body = body
        self._span = span
        self._waits_since = time.monotonic()
        self._decoded = 0
        self._crowd: Crowd | None = None

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has; what is no dict, in a queue, cannot carry a span."""
        message: Any = self._body.decode()
        if not isinstance(message, dict):
            return message  # type: ignore[no-any-return]  # in a queue anything may stand, which Body leaves unsaid
        self._decoded += 1
        if self._decoded > DETAILED and self._crowd is None:
            self._crowd = Crowd(self._span, self._waits_since)
        return TracedMessage(message, self._span, self._waits_since, self._crowd)


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

    def repeated(self) -> None:
        """End the span of what was delivered before."""
        self._span.set_attribute(DUPLICATES, 1)
        self.ended(0)


class Way(Protocol):
    """How a message came here."""

    @property
    def sender_seconds(self) -> float:
        """How long it waited at its sender."""
        ...

    @property
    def redis_seconds(self) -> float:
        """How long it was in Redis, as well as clocks tell."""
        ...

    @property
    def error_seconds(self) -> float:
        """By how much that may be wrong; inf while nothing is known of the server's clock."""
        ...

    @property
    def replayed(self) -> bool:
        """Whether it was read from what a shard keeps."""
        ...


def deliver(trace: bytes, kind: str, name: str, way: Way | None = None) -> Delivery | None:
    """Begin the span of a message that has come from Redis; None when its sender did not trace it."""
    tracing = WIRED.tracing
    if tracing is None or not trace:
        return None
    parent = propagation.unpack(trace)
    if parent is None or not parent.trace_flags.sampled:
        return None
    span = messaging_span(tracing, "deliver", SpanKind.CONSUMER, kind, name, NonRecordingSpan(parent))
    if not span.is_recording():
        return None
    if way is not None:
        span.set_attribute(REPLAYED, way.replayed)
        span.set_attribute(SENDER_MS, milliseconds(way.sender_seconds))
        span.set_attribute(REDIS_MS, milliseconds(way.redis_seconds))
        if isfinite(way.error_seconds):
            span.set_attribute(REDIS_ERROR_MS, milliseconds(way.error_seconds))
    return Delivery(span)
