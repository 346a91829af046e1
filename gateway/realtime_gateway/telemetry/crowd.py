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

import gc
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
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

# Members of one delivery, in one process, that have spans of their own: enough to see how they differ. Each takes 15 us
# of CPU, with what sends its spans, where one that is summed up takes 2; all 200 of a room took as long as its message.
DETAILED: Final = 32
# In the context of a handler that is summed up: its sum.
SUM_KEY: Final = create_key("realtime_gateway-sum")


class Sum:
    """What the members of one class have done with one message, as one span, and what they have sent, as another.

    Attributes:
        span: the one, which ends with the last of them.
        context: that their handlers run in: the span's.
        took: how long each of them has taken, in seconds; one that failed or was slow is not among them.
        began_at: when the last of them has begun, by the monotonic clock.
        ended_at: when the last of them has ended.
    """

    __slots__ = (
        "_began_ns", "_began_sending_ns", "_is_binary", "_is_closed", "_named", "_parent", "_sizes", "_tracing",
        "_waits_since", "began_at", "context", "ended_at", "span", "took",
    )  # fmt: skip

    def __init__(self, tracing: Tracing, parent: Span, waits_since: float, named: tuple[str, str]) -> None:
        self._tracing = tracing
        self._parent = parent
        self._waits_since = self.began_at = waits_since
        self.ended_at = monotonic()
        self._named = named
        self._began_ns = time_ns()
        self.span = tracing.under(parent, named[0], SpanKind.INTERNAL, {FUNCTION: named[1]}, self._began_ns)
        self.context = Context({SPAN_KEY: self.span, SUM_KEY: self})
        self.took: list[float] = []
        self._sizes: list[int] = []
        self._began_sending_ns = 0
        self._is_closed = self._is_binary = False

    def tell(self, began_at: float, error_type: str = "") -> None:
        """Make a span of a handler that has ended now, as those that are not summed up have."""
        said = {FUNCTION: self._named[1], MAILBOX_MS: milliseconds(began_at - self._waits_since)}
        span = self._tracing.under(self._parent, self._named[0], SpanKind.INTERNAL, said, wall_ns(began_at))
        if error_type:
            failed(span, error_type)
        span.end()

    def sends(self, size_bytes: int, is_binary: bool) -> bool:
        """Count a message to a client; False when all of this has ended."""
        if self._is_closed:
            return False
        if not self._sizes:
            self._began_sending_ns, self._is_binary = time_ns(), is_binary
        self._sizes.append(size_bytes)
        return True

    def close(self) -> None:
        """End it: nobody else handles the message."""
        self._is_closed = True
        self.context = Context()  # which has held this
        # Whoever was the last to let go of the message need not have handled it.
        ended_ns = max(wall_ns(self.ended_at), self._began_ns)
        if self._sizes:
            said = sent_attributes(max(self._sizes), self._is_binary) | {SOCKETS: len(self._sizes)}
            began_ns = self._began_sending_ns
            sent = self._tracing.under(self.span, "websocket send", SpanKind.PRODUCER, said, began_ns)
            sent.end(max(ended_ns, began_ns))
        self.span.set_attribute(MEMBERS, len(self.took))
        self.span.set_attribute(LONGEST_MS, milliseconds(max(self.took, default=0.0)))
        self.span.set_attribute(TOTAL_MS, milliseconds(sum(self.took)))
        self.span.set_attribute(MAILBOX_MS, milliseconds(self.began_at - self._waits_since))
        self.span.end(ended_ns)


class Crowd:
    """The members of one delivery that are summed up, by what handles the message.

    It belongs to whatever still holds the message for one of them: mailboxes, and members that have taken it and not
    handled it yet. When the last of those lets go of it, nobody else will handle it, and its spans end.

    Args:
        span: of the delivery.
        waits_since: when the message came, by the monotonic clock.
    """

    __slots__ = ("_span", "_sums", "_waits_since")

    def __init__(self, span: Span, waits_since: float) -> None:
        while _collection.left:
            _close(_collection.left.popleft())
        self._span = span
        self._waits_since = waits_since
        self._sums: dict[tuple[type, str], Sum] = {}

    def sum_of(self, consumer: type, kind: str) -> Sum | None:
        """Return what counts the members of a class; None where nothing is traced any more.

        Args:
            consumer: the class.
            kind: the message's type.
        """
        found = self._sums.get((consumer, kind))
        tracing = WIRED.tracing
        if found is None and tracing is not None:
            names = named(consumer, kind.replace(".", "_"))
            found = self._sums[consumer, kind] = Sum(tracing, self._span, self._waits_since, names)
        return found

    def __del__(self) -> None:
        if _collection.runs:
            _collection.left.append(self._sums.values())
        else:
            _close(self._sums.values())


def _close(sums: Iterable[Sum]) -> None:
    for each in sums:
        each.close()


class _Collection:
    """Whether the garbage collector runs, and the sums of crowds that it has found, for the next crowd to close.

    It may begin at any allocation, also of a thread that holds the lock which the end of a span takes.
    """

    def __init__(self) -> None:
        self.runs = False
        self.left: deque[Iterable[Sum]] = deque()

    def note(self, phase: str, information: object) -> None:
        """Hear from the collector that it begins or has ended."""
        self.runs = phase == "start"


_collection = _Collection()
gc.callbacks.append(_collection.note)


async def summed_up(
    dispatch: Callable[[TracedMessage], Awaitable[None]],
    message: TracedMessage,
    consumer: type,
    ends_by: type[BaseException],
) -> None:
    """Have one member of a crowd handle a message: one step, since it is for each of very many.

    Args:
        dispatch: hands it to the handler.
        message: of a crowd.
        consumer: the member's class.
        ends_by: the exception that is no failure.
    """
    # A consumer may keep the event, and the others' span is not to wait for that: from now on this alone holds it.
    crowd: Crowd | None = message.crowd
    message.crowd = None
    assert crowd is not None, "the caller has looked"
    kind = message.get("type")
    total = crowd.sum_of(consumer, kind if type(kind) is str else str(kind))
    if total is None:
        await dispatch(message)
        return
    # With whatever else the context holds, which mostly is nothing.
    here, context = get_current(), total.context
    token = attach(Context(here | context) if here else context)
    error_type = ""
    began_at = total.began_at = monotonic()
    try:
        await dispatch(message)
    except BaseException as error:
        error_type = "" if isinstance(error, ends_by) else type(error).__qualname__
        raise
    finally:
        ended_at = total.ended_at = monotonic()
        detach(token)
        seconds = ended_at - began_at
        if error_type or seconds > SLOW_SECONDS:
            total.tell(began_at, error_type)
        else:
            total.took.append(seconds)
        crowd = None  # the traceback of a failure keeps this frame
