"""A delivery to very many: its first members have spans of their own, and the others one that sums them up.

    deliver chat_{name}             to 500
    ├─ Chat.chat_message            32 of these, each with its own
    │  └─ websocket send
    ├─ Chat.chat_message            one that failed, or took longer than a second: it has its own in any case
    └─ Chat.chat_message            of the other 467: how many, how long the longest took, and all together
       └─ websocket send            what they have sent

In a large room all handlers do the same, so the 33rd says what the 32 before it have said, and costs as much again as
the message itself. Where the others' handlers send or publish, that continues the span which sums them up.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, set_span_in_context

from realtime_gateway.telemetry.kept import SLOW_SECONDS
from realtime_gateway.telemetry.spans import (
    FUNCTION,
    LONGEST_MS,
    MAILBOX_MS,
    MEMBERS,
    SOCKETS,
    TOTAL_MS,
    UNSENT_BYTES,
    WIRED,
    TracedMessage,
    Tracing,
    attached,
    failed,
    milliseconds,
    sent_attributes,
    wall_ns,
)

# Members of one delivery, in one process, that have spans of their own: enough to see how they differ, and at a ratio
# of 1 so few that the other members of a room of 200 cost more than they do.
DETAILED: Final = 32
# In the context of a handler that is summed up: its sum.
SUM_KEY: Final = otel_context.create_key("realtime_gateway-sum")


class Sum:
    """What the members of one class have done with one message, as one span, and what they have sent, as another.

    Attributes:
        span: that their handlers run in; it ends with the last of them, once what they have sent is written.
        context: the span's.
    """

    __slots__ = (
        "_began_sending_ns", "_closed", "_ended_ns", "_is_binary", "_largest", "_longest", "_members", "_sends",
        "_total", "_tracing", "_unsent_bytes", "_unwritten", "_waited", "context", "span",
    )  # fmt: skip

    def __init__(self, tracing: Tracing, parent: Span, name: str, function: str) -> None:
        self._tracing = tracing
        self.span = tracing.under(parent, name, SpanKind.INTERNAL, {FUNCTION: function})
        self.context = otel_context.set_value(SUM_KEY, self, set_span_in_context(self.span))
        self._members = self._sends = self._unwritten = 0
        self._longest = self._total = self._waited = 0.0
        self._began_sending_ns = self._ended_ns = self._largest = self._unsent_bytes = 0
        self._closed = self._is_binary = False

    def add(self, seconds: float, waited: float) -> None:
        """Count a handler that has ended."""
        self._members += 1
        self._total += seconds
        self._longest = max(self._longest, seconds)
        self._waited = max(self._waited, waited)

    def sends(self, size_bytes: int, is_binary: bool) -> bool:
        """Count a message to a client, for ``written`` to end; False when all of this has ended."""
        if self._closed:
            return False
        if not self._sends:
            self._began_sending_ns = time.time_ns()
            self._is_binary = is_binary
        self._sends += 1
        self._unwritten += 1
        self._largest = max(self._largest, size_bytes)
        return True

    def written(self, unsent_bytes: int) -> None:
        """Note that a message has been written; ``unsent_bytes`` wait until its client takes more."""
        self._unwritten -= 1
        self._unsent_bytes = max(self._unsent_bytes, unsent_bytes)
        if self._closed and not self._unwritten:
            self._end()

    def close(self) -> None:
        """Nobody else handles the message."""
        self._closed = True
        self._ended_ns = time.time_ns()
        if not self._unwritten:
            self._end()

    def __del__(self) -> None:
        if self._closed and self._unwritten:  # to sockets that are gone
            self._end()

    def _end(self) -> None:
        self._unwritten = 0
        self.context = Context()  # which has held this
        if self._sends:
            said = sent_attributes(self._largest, self._is_binary) | {SOCKETS: self._sends}
            if self._unsent_bytes:
                said[UNSENT_BYTES] = self._unsent_bytes
            sent = self._tracing.under(self.span, "websocket send", SpanKind.PRODUCER, said, self._began_sending_ns)
            sent.end(time.time_ns())
        self.span.set_attribute(MEMBERS, self._members)
        self.span.set_attribute(LONGEST_MS, milliseconds(self._longest))
        self.span.set_attribute(TOTAL_MS, milliseconds(self._total))
        self.span.set_attribute(MAILBOX_MS, milliseconds(self._waited))
        self.span.end(self._ended_ns)


class Crowd:
    """The members of one delivery that are summed up, by what handles the message.

    It belongs to whatever still holds the message for one of them: mailboxes, and members that have taken it and not
    handled it yet. When the last of those lets go of it, nobody else will handle it, and its spans end.

    Args:
        span: of the delivery.
    """

    __slots__ = ("_span", "_sums")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._sums: dict[str, Sum] = {}

    def handling(
        self, message: TracedMessage, name: str, function: str, ends_by: type[BaseException] | tuple[()]
    ) -> AbstractContextManager[None]:
        """Count what one member does with the message in the block."""
        tracing = WIRED.tracing
        found = self._sums.get(function)
        if found is None:
            assert tracing is not None, "the caller has looked"
            found = self._sums[function] = Sum(tracing, self._span, name, function)
        return _Handling(message, found, name, function, ends_by)

    def __del__(self) -> None:
        for each in self._sums.values():
            each.close()


class _Handling:
    """What one member does."""

    __slots__ = ("_began_at", "_ends_by", "_function", "_message", "_name", "_sum", "_token")

    def __init__(
        self, message: TracedMessage, found: Sum, name: str, function: str, ends_by: type[BaseException] | tuple[()]
    ) -> None:
        self._message = message
        self._sum = found
        self._name = name
        self._function = function
        self._ends_by = ends_by

    def __enter__(self) -> None:
        self._token = attached(self._sum.context)
        self._began_at = time.monotonic()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.monotonic() - self._began_at
        otel_context.detach(self._token)
        message = self._message
        waited = self._began_at - message.waits_since
        has_failed = error is not None and not isinstance(error, self._ends_by)
        if has_failed or seconds > SLOW_SECONDS:
            self._tell(error if has_failed else None, waited)
        else:
            self._sum.add(seconds, waited)
        message.crowd = None  # a consumer may keep the event, and the others are not to wait for that

    def _tell(self, error: BaseException | None, waited: float) -> None:
        tracing = WIRED.tracing
        if tracing is None:
            return
        said = {FUNCTION: self._function, MAILBOX_MS: milliseconds(waited)}
        began_ns = wall_ns(self._began_at)
        span = tracing.under(self._message.span, self._name, SpanKind.INTERNAL, said, began_ns)
        if error is not None:
            failed(span, type(error).__qualname__)
        span.end()
