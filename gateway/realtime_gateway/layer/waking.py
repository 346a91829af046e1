"""Wakes who waits on a loop, from any thread: a future's own methods are for its loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from realtime_gateway.layer.mailboxes import Waiter


def wake(waiters: Iterable[Waiter]) -> None:
    """Wake receivers who have been taken out of their mailboxes, each on its own loop."""
    for waiter in waiters:
        assert isinstance(waiter, asyncio.Future), "all who receive wait for one"
        with suppress(RuntimeError):  # the loop has been closed
            waiter.get_loop().call_soon_threadsafe(_wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
