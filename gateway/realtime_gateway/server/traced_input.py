"""A client's messages where spans are made: the connection's InputQueue, which says when each is taken and handled."""

from __future__ import annotations

from realtime_gateway.server.application_run import Attendee, InputQueue, Message
from realtime_gateway.telemetry.socket_spans import ConnectionSpans


class TracedInput:
    """What ``receive`` reads in the place of the queue, awaited or looked into (``consumers.dispatching``) like it.

    Args:
        queue: the messages.
        spans: of the connection.
    """

    __slots__ = ("_queue", "_spans")

    def __init__(self, queue: InputQueue, spans: ConnectionSpans) -> None:
        self._queue = queue
        self._spans = spans

    async def get(self) -> Message:
        """Wait for the next message, and continue its trace in whichever task waits."""
        self._spans.handled()
        message = await self._queue.get()
        self._spans.taken(message)
        self._spans.continued_here(message)
        return message

    def take(self) -> Message | None:
        """Return the oldest message, which says itself in which context it is handled; None while there is none."""
        self._spans.handled()
        message = self._queue.take()
        if message is not None:
            self._spans.taken(message)
        return message

    def attend(self, attendee: Attendee) -> None:
        """Have somebody woken for each message, from now on."""
        self._queue.attend(attendee)

    def end(self, attendee: Attendee) -> None:
        """He looks no more."""
        self._queue.end(attendee)
