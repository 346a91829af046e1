"""One call of the ASGI application, for one WebSocket or one HTTP request: its task, its input, its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, Protocol

from realtime_gateway.server.inbox import Inbox

logger = logging.getLogger("realtime_gateway.server")

# Of what is called when an application has ended: a copy of the present one for each would be kept until then.
_NO_CONTEXT = Context()

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class Peer(Protocol):
    """What an application talks to: a WebSocket or an HTTP request."""

    def handle_exception(self, exception: BaseException) -> None:
        """Tell the client that the application failed; called once, while the client is there."""

    def application_returned(self) -> None:
        """Tell the client that the application has ended by itself; called once, while the client is there."""


class Reading(Protocol):
    """Whoever reads from the client what goes into the queue."""

    def pause_reading(self) -> None:
        """Stop."""

    def resume_reading(self) -> None:
        """Go on."""


class Attendee(Protocol):
    """Whoever looks into a queue between other things."""

    def wake(self) -> None:
        """Have it look; does nothing while it is busy, since it looks after that."""


class InputQueue:
    """What ``receive`` reads: an Inbox that can be awaited by one reader, and cancelled anywhere without a loss.

    Args:
        loop: the server's.
        inbox: the messages.
        reading: stops and goes on as the inbox says.
    """

    __slots__ = ("_attendees", "_inbox", "_loop", "_reading", "_waiters")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inbox: Inbox,
        reading: Reading,
    ) -> None:
        self._loop = loop
        self._inbox = inbox
        self._reading = reading
        self._waiters: tuple[asyncio.Future[None], ...] = ()  # mostly none
        self._attendees: tuple[Attendee, ...] = ()  # mostly one

    @property
    def paused(self) -> bool:
        """Whether reading from the client has been stopped."""
        return self._inbox.paused

    def put_nowait(self, message: Message, size_bytes: int = 0) -> None:
        """Add a message and wake the reader; the name is the one that Daphne's protocols call."""
        if self._inbox.put(message, size_bytes):
            self._reading.pause_reading()
        for attendee in self._attendees:
            attendee.wake()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def get(self) -> Message:
        """Wait for the next message; what an application knows as ``receive``."""
        while True:
            message = self.take()
            if message is not None:
                return message
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters += (waiter,)
            try:
                await waiter
            finally:
                self._waiters = tuple(one for one in self._waiters if one is not waiter)

    # For who looks into several sources at once (``consumers.dispatching``), on the server's loop.

    def take(self) -> Message | None:
        """Return the oldest message; None while there is none."""
        if self._inbox.messages is None:  # as it is in most looks, of which there are several for each message
            return None
        message, resume = self._inbox.take()
        if resume:
            self._reading.resume_reading()
        return message

    def attend(self, attendee: Attendee) -> None:
        """Have somebody woken for each message, from now on."""
        self._attendees += (attendee,)

    def end(self, attendee: Attendee) -> None:
        """He looks no more."""
        self._attendees = tuple(one for one in self._attendees if one is not attendee)

    def no_more_comes(self) -> None:
        """Forget whoever reads from the client, which is gone; what is here can still be taken."""
        self._reading = _NOBODY


class _Nobody:
    """Reads from no client."""

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self) -> None:
        """Do nothing."""


_NOBODY = _Nobody()


class ApplicationRun:
    """The application's task for one peer, from its start to its end.

    Args:
        peer: who is told when the application ends before the client.
        close_timeout_seconds: how long the application may go on after the client has left.
        ended: called once, with this run, when the task is over.
    """

    __slots__ = ("_close_timeout_seconds", "_ended", "_killer", "_loop", "peer", "peer_left", "task")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: Peer,
        close_timeout_seconds: float,
        ended: Callable[[ApplicationRun], None],
    ) -> None:
        self._loop = loop
        self.peer = peer
        self.peer_left = False
        self._close_timeout_seconds = close_timeout_seconds
        self._ended = ended
        self._killer: asyncio.TimerHandle | None = None
        self.task: asyncio.Task[None] | None = None

    def start(self, application: Application, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Call the application in a task of its own."""
        self.task = self._loop.create_task(_call(application, scope, receive, send))
        self.task.add_done_callback(self._task_done, context=_NO_CONTEXT)

    def left(self) -> None:
        """The client is gone: the application has a while to notice."""
        if self.peer_left:
            return
        self.peer_left = True
        if self.task is not None and not self.task.done():
            self._killer = self._loop.call_later(self._close_timeout_seconds, self._kill)

    def cancel(self) -> None:
        """End the application now."""
        if self.task is not None:
            self.task.cancel()

    def _kill(self) -> None:
        logger.warning(
            "The application did not end within %g s of its client's leaving (%r); cancelling it.",
            self._close_timeout_seconds,
            self.peer,
        )
        self.cancel()

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if self._killer is not None:
            self._killer.cancel()
        exception = None if task.cancelled() else task.exception()
        if exception is not None:
            logger.error("Exception inside application: %s", exception, exc_info=exception)
        if not self.peer_left:
            if exception is not None or task.cancelled():
                self.peer.handle_exception(exception or asyncio.CancelledError())
            else:
                self.peer.application_returned()
        self._ended(self)
        self._killer = None
        del self.peer  # which knows this run, and would wait with it for the garbage collector


def _call(application: Application, scope: dict[str, Any], receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
    # Nothing of a coroutine function runs before its task does.
    if isinstance(application, FunctionType) and application.__code__.co_flags & CO_COROUTINE:
        coroutine: Coroutine[Any, Any, None] = application(scope, receive, send)
        return coroutine
    return _call_in_task(application, scope, receive, send)


async def _call_in_task(application: Application, scope: dict[str, Any], receive: Receive, send: Send) -> None:
    # The call itself is inside the task, so that a callable that raises is handled as one that fails later.
    await application(scope, receive, send)
