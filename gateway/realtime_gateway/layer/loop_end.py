"""Ends drivers before their event loop is closed, whoever closes it.

``asyncio.run`` ends all tasks before it closes a loop. Whoever closes one himself (async_to_sync, test fixtures) would
leave tasks pending and sockets open, and asyncio has no hook for it but the method itself.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import Protocol


class Stoppable(Protocol):
    """What lives on a loop.

    Attributes:
        gone: whether nothing of it goes on.
    """

    gone: bool

    async def stop(self) -> None:
        """End it."""
        ...


# The close method of a loop → what is to be stopped by it.
_STOPPED_BY: weakref.WeakKeyDictionary[Callable[[], None], weakref.WeakSet[Stoppable]] = weakref.WeakKeyDictionary()


def stop_before_it_closes(loop: asyncio.AbstractEventLoop, driver: Stoppable) -> None:
    """Stop a driver when its loop is about to be closed, if it still lives then."""
    original = loop.close
    if original in _STOPPED_BY:
        _STOPPED_BY[original].add(driver)
        return
    drivers = weakref.WeakSet((driver,))

    def close() -> None:
        loop.__dict__.pop("close", None)
        for one in list(drivers):
            if not one.gone and not loop.is_running() and not loop.is_closed():
                loop.run_until_complete(one.stop())
        original()

    # One for all drivers that a loop ever has: a suite of tests may make thousands on one loop.
    _STOPPED_BY[close] = drivers
    loop.__dict__["close"] = close
