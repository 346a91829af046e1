"""Which event loop does the I/O, and how calls from anywhere else get there.

The loop that first receives has it. Calls from other loops and threads are handed over to it. Where nobody receives (a
WSGI process, a management command), a loop of the process's own has it, so that connections are kept from call to
call. When the loop that has it ends, everything but the sockets lives on and the next loop takes over.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.sync_calls import OwnLoop

log = logging.getLogger("realtime_gateway.layer")

T = TypeVar("T")
Work = Callable[[Driver], Coroutine[Any, Any, T]]

# How long another loop may take to end its connections when a receiver takes them over.
_MOVE_SECONDS = 5.0
# How long a process that ends waits for what it has sent.
_END_SECONDS = 4.0
# Drivers that a fork left behind: never collected, so that their transports never run code in the child.
_LEFT_BEHIND: list[Driver] = []


class Binding:
    """Binds a process's state to one loop at a time."""

    def __init__(self, make_state: Callable[[], ProcessState]) -> None:
        self._make_state = make_state
        self._lock = threading.Lock()
        self._own_loop = OwnLoop()
        self._driver: Driver | None = None
        self.state = make_state()

    def driver_here(self) -> Driver | None:
        """The driver, if the loop that calls has the I/O now."""
        driver = self._driver
        # A loop that calls runs, and so is not closed.
        if driver is not None and driver.loop is asyncio.get_running_loop() and not driver.stopped:
            return driver
        return None

    async def run(self, work: Work[T], *, receives: bool = False, waits: bool = False) -> T:
        """Run ``work`` where the I/O is.

        Args:
            work: called with the driver.
            receives: this loop may take the I/O if nobody has it, or only the process's own loop.
            waits: it is a receiver itself, which cannot be on a second loop at the same time.
        """
        driver = self.driver_here()
        if driver is not None:
            return await work(driver)
        loop = asyncio.get_running_loop()
        driver = self._driver
        if driver is None or not driver.alive or self._moves(driver, loop, receives, waits):
            await self._acquire()
            try:
                driver = await self._bind(loop, receives, waits)
            finally:
                self._lock.release()
        # Nothing is awaited from here to the hand-over, so calls keep the order in which they were made.
        if driver.loop is loop:
            return await work(driver)
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._run_here(work), driver.loop))

    async def close(self) -> None:
        """End all connections, in order, and the process's own loop; the next call starts again."""
        leaving = self._driver
        if leaving is not None and leaving.loop is asyncio.get_running_loop():
            await leaving.take_leave()
        elif leaving is not None and leaving.alive:
            gone = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(leaving.take_leave(), leaving.loop))
            await asyncio.wait((gone,), timeout=_END_SECONDS)  # its loop may end meanwhile
        await self._acquire()
        driver, self._driver = self._driver, None
        self._lock.release()
        if driver is not None:
            await self._end(driver)
        if self._own_loop.loop is not None and self._own_loop.loop is not asyncio.get_running_loop():
            self._own_loop.stop()

    def process_ends(self) -> None:
        """Take leave where the process's own loop has the connections: it runs to the last, and nobody closes it."""
        driver = self._driver
        if driver is not None and driver.alive and driver.loop is self._own_loop.loop:
            with suppress(Exception):  # nothing may keep a process from ending
                asyncio.run_coroutine_threadsafe(driver.take_leave(), driver.loop).result(_END_SECONDS)

    def let_go(self) -> None:
        """End everything soon, from whichever thread the layer was collected in."""
        driver, self._driver = self._driver, None
        if driver is not None and not driver.alive:
            driver.leave_loop()
        elif driver is not None and driver.loop is not self._own_loop.loop:
            asyncio.run_coroutine_threadsafe(driver.stop(), driver.loop)
        # Its own loop ends the driver before it closes.
        self._own_loop.stop_soon()

    def after_fork_in_child(self) -> None:
        """Become a new process: nothing of the parent's connections, channels or numbers."""
        self._lock = threading.Lock()
        self._own_loop = OwnLoop()
        driver, self._driver = self._driver, None
        # First of all: whatever else goes wrong, this process must not go by the parent's name.
        self.state = self._make_state()
        if driver is not None:
            _LEFT_BEHIND.append(driver)
            try:
                driver.sever()
            except Exception:
                # Such as no descriptor left, or a machine that another thread was just changing. The parent's
                # connections stay open here until this process ends; nothing reads from them or writes to them.
                log.exception("the parent's connections to Redis could not be closed in a forked process")

    async def _acquire(self) -> None:
        # A loop never blocks on the lock: whoever holds it may be waiting for this very loop to end its driver.
        # Nor can a thread wait for it: were this caller cancelled, it would get the lock, and nobody would release it.
        while not self._lock.acquire(blocking=False):  # noqa: ASYNC110 - a lock of threads has nothing to await
            await asyncio.sleep(0.001)

    async def _bind(self, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> Driver:
        driver = self._driver
        if driver is not None and not driver.alive:
            driver.leave_loop()
            driver = self._driver = None
        if driver is not None and self._moves(driver, loop, receives, waits):
            self._driver = None
            await self._take_from(driver)
            driver = None
        if driver is None and receives:
            driver = self._make_driver()
        elif driver is None:
            own_loop = self._own_loop.start()
            driver = asyncio.run_coroutine_threadsafe(self._make_there(), own_loop).result(_MOVE_SECONDS)
        self._driver = driver
        return driver

    async def _take_from(self, driver: Driver) -> None:
        """Stop the driver of another loop; one that does not run in time is severed, since two would be at odds."""
        stopping = asyncio.run_coroutine_threadsafe(driver.stop(), driver.loop)
        stopped = asyncio.wrap_future(stopping)
        try:
            await asyncio.wait((stopped,), timeout=_MOVE_SECONDS)
        finally:
            # Else it would go on when that loop does, beside the driver that has the machine by then.
            if not stopped.done() and stopped.cancel():
                driver.leave_loop()
        if not stopped.cancelled():
            stopped.result()

    def _make_driver(self) -> Driver:
        driver = Context().run(Driver, self.state)
        driver.start()
        return driver

    async def _make_there(self) -> Driver:
        return self._make_driver()

    def _moves(self, driver: Driver, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> bool:
        if driver.loop is loop:
            return False
        if driver.loop is self._own_loop.loop:
            return receives
        if waits and self.state.mailboxes.any_reader():
            raise RuntimeError("Two event loops are trying to receive() on one channel layer at once!")
        return waits

    async def _run_here(self, work: Work[T]) -> T:
        driver = self._driver
        if driver is not None and driver.loop is asyncio.get_running_loop():
            return await work(driver)
        # A receiver took the I/O to its loop in the meantime.
        return await self.run(work)

    async def _end(self, driver: Driver) -> None:
        if driver.loop is asyncio.get_running_loop():
            await driver.close()
        elif driver.alive:
            ended = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(driver.close(), driver.loop))
            await asyncio.wait((ended,), timeout=_END_SECONDS)
        else:
            driver.leave_loop()
