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

from collections.abc import Awaitable, Callable
from time import monotonic, time_ns
from typing import Final

from opentelemetry.context import Context, attach, create_key, detach, get_current
from opentelemetry.trace import Span, SpanKind

from realtime_gateway.telemetry.kept import SLOW_SECONDS
from realtime_gateway.telemetry.spans import (
    FUNCTION,
    LONGEST_MS,
    MAILBOX_MS,
    MEMBERS,
    SOCKETS,
    SPAN_KEY,
    TOTAL_MS,
    WIRED,
    TracedMessage,
    Tracing,
    failed,
    milliseconds,
    named,
    sent_attributes,
    wall_ns,
)

# Members of one delivery, in one process, that have spans of their own: enough to see how they differ, and at a ratio
# of 1 so few that the other members of a room of 200 cost more than they do.
DETAILED: Final = 32
# In the context of a handler that is summed up: its sum.
SUM_KEY: Final = create_key("realtime_gateway-sum")


class Sum:
    """What the members of one class have done with one message, as one span, and what they have sent, as another.

    Attributes:
        context: that their handlers run in: the span's, which ends with the last of them.
    """

    __slots__ = (
        "_began_sending_ns", "_ended_sending_ns", "_is_binary", "_is_closed", "_largest", "_longest", "_members",
        "_named", "_parent", "_sends", "_total", "_tracing", "_waited", "context", "span",
    )  # fmt: skip

    def __init__(self, tracing: Tracing, parent: Span, named: tuple[str, str]) -> None:
        self._tracing = tracing
        self._parent = parent
        self._named = named
        self.span = tracing.under(parent, named[0], SpanKind.INTERNAL, {FUNCTION: named[1]})
        self.context = Context({SPAN_KEY: self.span, SUM_KEY: self})
        self._members = self._sends = self._largest = 0
        self._longest = self._total = self._waited = 0.0
        self._began_sending_ns = self._ended_sending_ns = 0
        self._is_closed = self._is_binary = False

    def add(self, began_at: float, waits_since: float) -> None:
        """Count a handler that has ended now; one that was slow has a span of its own instead.

        Args:
            began_at: when it began, by the monotonic clock.
            waits_since: when its message came.
        """
        seconds, waited = monotonic() - began_at, began_at - waits_since
        if seconds > SLOW_SECONDS:
            self.tell(began_at, waits_since)
            return
        self._members += 1
        self._total += seconds
        if seconds > self._longest:  # noqa: PLR1730  # max() costs three times as much, for each member
            self._longest = seconds
        if waited > self._waited:  # noqa: PLR1730
            self._waited = waited

    def tell(self, began_at: float, waits_since: float, error_type: str = "") -> None:
        """Make a span of a handler that has ended now, as those that are not summed up have."""
        said = {FUNCTION: self._named[1], MAILBOX_MS: milliseconds(began_at - waits_since)}
        span = self._tracing.under(self._parent, self._named[0], SpanKind.INTERNAL, said, wall_ns(began_at))
        if error_type:
            failed(span, error_type)
        span.end()

    def sends(self, size_bytes: int, is_binary: bool) -> bool:
        """Count a message to a client; False when all of this has ended."""
        if self._is_closed:
            return False
        self._ended_sending_ns = time_ns()
        if not self._sends:
            self._began_sending_ns, self._is_binary = self._ended_sending_ns, is_binary
        self._sends += 1
        if size_bytes > self._largest:  # noqa: PLR1730
            self._largest = size_bytes
        return True

    def close(self) -> None:
        """End it: nobody else handles the message."""
        self._is_closed = True
        if self._sends:
            said = sent_attributes(self._largest, self._is_binary) | {SOCKETS: self._sends}
            sent = self._tracing.under(self.span, "websocket send", SpanKind.PRODUCER, said, self._began_sending_ns)
            sent.end(self._ended_sending_ns)
        self.span.set_attribute(MEMBERS, self._members)
        self.span.set_attribute(LONGEST_MS, milliseconds(self._longest))
        self.span.set_attribute(TOTAL_MS, milliseconds(self._total))
        self.span.set_attribute(MAILBOX_MS, milliseconds(self._waited))
        self.span.end()


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
        self._sums: dict[tuple[type, str], Sum] = {}

    def sum_of(self, consumer: type, handler: str) -> Sum | None:
        """Return what counts those whose class has that handler; None where nothing is traced any more."""
        found = self._sums.get((consumer, handler))
        tracing = WIRED.tracing
        if found is None and tracing is not None:
            found = self._sums[consumer, handler] = Sum(tracing, self._span, named(consumer, handler))
        return found

    def __del__(self) -> None:
        for each in self._sums.values():
            each.close()


async def summed_up(
    dispatch: Callable[[TracedMessage], Awaitable[None]],
    message: TracedMessage,
    consumer: type,
    handler: str,
    ends_by: type[BaseException],
) -> None:
    """Have one member of a crowd handle a message: one step, since it is for each of very many.

    Args:
        dispatch: hands it to the handler.
        message: of a crowd.
        consumer: the member's class.
        handler: the name of the method; it comes with the message, and so from anybody.
        ends_by: the exception that is no failure.
    """
    # A consumer may keep the event, and the others' span is not to wait for that: from now on this alone holds it.
    crowd: Crowd | None = message.crowd
    message.crowd = None
    assert crowd is not None, "the caller has looked"
    total = crowd.sum_of(consumer, handler)
    if total is None:
        await dispatch(message)
        return
    # With whatever else the context holds, which mostly is nothing.
    here, context = get_current(), total.context
    token = attach(Context(here | context) if here else context)
    began_at = monotonic()
    try:
        await dispatch(message)
    except BaseException as error:
        if isinstance(error, ends_by):
            total.add(began_at, message.waits_since)
        else:
            total.tell(began_at, message.waits_since, type(error).__qualname__)
        raise
    else:
        total.add(began_at, message.waits_since)
    finally:
        detach(token)
        crowd = None  # the traceback of a failure keeps this frame
