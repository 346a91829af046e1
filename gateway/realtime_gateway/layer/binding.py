"""Which event loop does the I/O, and how calls from anywhere else get there.

The loop that first receives has it. Calls from other loops and threads are handed over to it. Where nobody receives (a
WSGI process, a management command), a loop of the process's own has it, so that connections are kept from call to
call. When the loop that has it ends, everything but the sockets lives on and the next loop takes over.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.sync_calls import OwnLoop

T = TypeVar("T")
Work = Callable[[Driver], Coroutine[Any, Any, T]]

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

    @property
    def driver(self) -> Driver | None:
        """The driver that has the I/O now, if any."""
        return self._driver

    async def run(self, work: Work[T], *, receives: bool = False, waits: bool = False) -> T:
        """Run ``work`` where the I/O is.

        Args:
            work: called with the driver.
            receives: this loop may take the I/O if nobody has it, or only the process's own loop.
            waits: it is a receiver itself, which cannot be on a second loop at the same time.
        """
        loop = asyncio.get_running_loop()
        driver = self._driver
        if driver is None or driver.loop is not loop or not driver.alive:
            driver = await self._driver_for(loop, receives, waits)
        if driver.loop is loop:
            return await work(driver)
        future = asyncio.run_coroutine_threadsafe(work(driver), driver.loop)
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        """End all connections and the process's own loop; the next call starts again."""
        with self._lock:
            driver, self._driver = self._driver, None
        if driver is not None:
            await self._end(driver)
        if self._own_loop.loop is not None and self._own_loop.loop is not asyncio.get_running_loop():
            self._own_loop.stop()

    def let_go(self) -> None:
        """End everything soon, from whichever thread the layer was collected in."""
        driver, self._driver = self._driver, None
        if driver is not None and not driver.alive:
            driver.sever()
        elif driver is not None and driver.loop is not self._own_loop.loop:
            asyncio.run_coroutine_threadsafe(driver.stop(), driver.loop)
        # Its own loop ends the driver before it closes.
        self._own_loop.stop_soon()

    def after_fork_in_child(self) -> None:
        """Become a new process: nothing of the parent's connections, channels or numbers."""
        self._lock = threading.Lock()
        self._own_loop = OwnLoop()
        driver, self._driver = self._driver, None
        if driver is not None:
            _LEFT_BEHIND.append(driver)
            driver.sever()
        self.state = self._make_state()

    async def _driver_for(self, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> Driver:
        with self._lock:
            driver = self._driver
            if driver is not None and not driver.alive:
                driver.sever()
                driver = self._driver = None
            own = driver is not None and driver.loop is self._own_loop.loop
            if driver is not None and not self._moves(driver, own, loop, receives, waits):
                return driver
            leaving, self._driver = driver, None
            target = loop if receives else self._own_loop.start()
        if leaving is not None:
            await self._end(leaving)
        return await self._take(target)

    def _moves(self, driver: Driver, own: bool, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> bool:
        if driver.loop is loop:
            return False
        if own and receives:
            return True
        if not waits:
            return False
        if self.state.mailboxes.any_reader():
            raise RuntimeError("Two event loops are trying to receive() on one channel layer at once!")
        return True

    async def _take(self, target: asyncio.AbstractEventLoop) -> Driver:
        async def make() -> Driver:
            # Whoever comes second finds the first one's.
            with self._lock:
                if self._driver is None:
                    self._driver = Context().run(Driver, self.state)
                    self._driver.start()
                return self._driver

        if target is asyncio.get_running_loop():
            return await make()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(make(), target))

    async def _end(self, driver: Driver) -> None:
        if driver.loop is asyncio.get_running_loop():
            await driver.stop()
        elif driver.alive:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(driver.stop(), driver.loop))
        else:
            driver.sever()
