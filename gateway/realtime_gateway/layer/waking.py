"""Wakes who waits on a loop, from any thread: a future's own methods are for its loop only."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from realtime_gateway.layer.mailboxes import Mailboxes


def wake(mailboxes: Mailboxes) -> None:
    """Wake all who wait for messages, each on its own loop, to look for the driver that there is by then."""
    for waiter in mailboxes.take_waiters():
        assert isinstance(waiter, asyncio.Future), "all who receive wait for one"
        with suppress(RuntimeError):  # the loop has been closed
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)
    for attendee in mailboxes.attendees():
        attendee.wake_from_elsewhere()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
