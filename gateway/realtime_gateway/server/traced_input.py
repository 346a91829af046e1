"""A client's messages where spans are made: an InputQueue that says when each is taken and handled."""

from __future__ import annotations

import asyncio

from realtime_gateway.server.application_run import InputQueue, Message, Reading
from realtime_gateway.server.inbox import Inbox
from realtime_gateway.telemetry.socket_spans import ConnectionSpans


class TracedInput(InputQueue):
    """What ``receive`` reads, awaited or looked into (``consumers.dispatching``) like any other queue.

    A look that finds nothing, of which there are two for each message of a group, costs one comparison more than
    without spans (10 ns); standing before the queue instead of being one cost 0.5 us.

    Args:
        loop: the server's.
        inbox: the messages.
        reading: stops and goes on as the inbox says.
        spans: of the connection.
    """

    __slots__ = ("_spans",)

    def __init__(self, loop: asyncio.AbstractEventLoop, inbox: Inbox, reading: Reading, spans: ConnectionSpans) -> None:
        super().__init__(loop, inbox, reading)
        self._spans = spans

    async def get(self) -> Message:
        """Wait for the next message, and continue its trace in whichever task waits."""
        message = await super().get()
        self._spans.continued_here(message)
        return message

    def take(self) -> Message | None:
        """Return the oldest message, which says itself in which context it is handled; None while there is none."""
        if self._spans.current is not None:
            self._spans.handled()
        if self._inbox.messages is None:
            return None
        message = super().take()
        if type(message) is not dict and message is not None:
            self._spans.taken(message)
        return message
