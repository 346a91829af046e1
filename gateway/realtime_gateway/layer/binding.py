"""Which event loop does the I/O, and how calls from anywhere else get there.

The loop that first receives has it. Calls from other loops and threads are handed over to it. Where nobody receives (a
WSGI process, a management command), a loop of the process's own has it, so that connections are kept from call to
call. When the loop that has it ends, everything but the sockets lives on and the next loop takes over, also with the
calls that were handed over and wait.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from realtime_gateway.errors import ShardUnavailable
from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.errands import Errand, Request
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.requests import Moved
from realtime_gateway.layer.sync_calls import OwnLoop

log = logging.getLogger("realtime_gateway.layer")

T = TypeVar("T")
Work = Callable[[Driver], Coroutine[Any, Any, T]]

# How long another loop may take to end its connections when a receiver takes them over.
_MOVE_SECONDS = 5.0
# How long a process that ends waits for what it has sent.
_END_SECONDS = 4.0
# How often it is looked whether another loop, that is waited for, still runs.
_LOOK_SECONDS = 0.01
# Drivers that a fork left behind: never collected, so that their transports never run code in the child.
_LEFT_BEHIND: list[Driver] = []


class Binding:
    """Binds a process's state to one loop at a time.

    Args:
        make_state: called for a new process, with the keys file of the one that it was forked from, if any.
    """

    def __init__(self, make_state: Callable[..., ProcessState]) -> None:
        self._make_state = make_state
        self._lock = threading.Lock()
        self._own_loop = OwnLoop()
        self._driver: Driver | None = None
        self.state = make_state()

    def driver_here(self) -> Driver | None:
        """The driver, if the loop that calls has the I/O now."""
        return self.driver_on(asyncio.get_running_loop())

    def driver_on(self, loop: asyncio.AbstractEventLoop) -> Driver | None:
        """The same for who knows on which loop he is: to ask for it costs a system call (``getpid``)."""
        driver = self._driver
        # A loop that calls runs, and so is not closed.
        return driver if driver is not None and driver.loop is loop and driver.goes_on else None

    async def run(self, work: Work[T], *, receives: bool = False, waits: bool = False) -> T:
        """Run ``work`` where the I/O is.

        Args:
            work: called with the driver; again, when the loop that it runs on ends in the middle of it.
            receives: this loop may take the I/O if nobody has it, or only the process's own loop.
            waits: it is a receiver itself, which cannot be on a second loop at the same time.
        """
        return await self.settle(lambda driver, errand: work(driver), receives=receives, waits=waits)

    async def settle(self, request: Request[T], *, receives: bool = False, waits: bool = False) -> T:
        """Run a request where the I/O is: once its errand has a ticket, it is waited for and not run again."""
        loop = asyncio.get_running_loop()
        errand: Errand[T] | None = None
        try:
            while True:
                driver = self.driver_here() or await self._reach(loop, receives, waits)
                # Nothing is awaited from here to the hand-over, so calls keep the order in which they were made.
                if driver.loop is loop and (errand is None or not errand.is_away):
                    try:
                        return await request(driver, None)
                    except Moved:
                        continue
                errand = errand or Errand(request)
                if errand.held_by is None and not errand.is_away:
                    driver.errands.hand_over(errand)
                if await errand.is_answered(driver):
                    return errand.answer()
        finally:
            if errand is not None:
                errand.give_up()

    async def close(self) -> None:
        """End all connections, in order, and the process's own loop; the next call starts again.

        So do receivers that wait, each where it waits: they have not been told to end.
        """
        leaving = self._driver
        if leaving is not None and not leaving.stopped:
            await self._on_its_loop(leaving, leaving.take_leave, _END_SECONDS)
        await self._acquire()
        try:
            driver, self._driver = self._driver, None
            if driver is not None:
                await self._end(driver, driver.close, _END_SECONDS)
            # Nobody can be given this loop any more, since that takes the lock.
            if self._own_loop.loop is not None and self._own_loop.loop is not asyncio.get_running_loop():
                self._own_loop.stop()
        finally:
            self._lock.release()

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
        # With the parent's keys, since their file may be one that cannot be used at this moment.
        self.state = self._make_state(self.state.keys_file)
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

    async def _reach(self, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> Driver:
        driver = self._driver
        if driver is None or not driver.alive or self._moves(driver, loop, receives, waits):
            await self._acquire()
            try:
                driver = await self._bind(loop, receives, waits)
            finally:
                self._lock.release()
        return driver

    async def _bind(self, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> Driver:
        driver = self._driver
        if driver is not None and (not driver.alive or self._moves(driver, loop, receives, waits)):
            self._driver = None
            await self._end(driver, driver.stop, _MOVE_SECONDS)
            driver = None
        if driver is None:
            driver = self._driver = self._make_driver() if receives else self._make_on(self._own_loop.start())
        return driver

    async def _end(self, driver: Driver, end: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """End a driver; one whose loop does not run, or not in time, is severed, since two would be at odds."""
        loop = asyncio.get_running_loop()
        try:
            if not driver.stopped:
                await self._on_its_loop(driver, end, seconds)
            else:  # its loop is at it
                deadline = loop.time() + seconds
                while not driver.gone and driver.loop.is_running():
                    if loop.time() >= deadline:
                        break
                    await asyncio.sleep(0.001)
        finally:
            if not driver.gone:
                driver.leave_loop()

    async def _on_its_loop(self, driver: Driver, act: Callable[[], Coroutine[Any, Any, None]], seconds: float) -> None:
        """Have a driver do something on its own loop; on another one for so many seconds, and while that runs."""
        loop = asyncio.get_running_loop()
        if driver.loop is loop:
            await act()
            return
        done: Future[None] = Future()
        tasks: list[asyncio.Task[None]] = []

        def begin() -> None:
            if done.set_running_or_notify_cancel():
                tasks.append(driver.loop.create_task(act()))
                tasks[0].add_done_callback(lambda task: done.set_result(None))

        try:
            driver.loop.call_soon_threadsafe(begin)
        except RuntimeError:  # it has been closed
            return
        there, deadline = asyncio.wrap_future(done), loop.time() + seconds
        try:
            while not there.done() and driver.loop.is_running() and loop.time() < deadline:
                await asyncio.wait((there,), timeout=_LOOK_SECONDS)
        finally:
            if not done.cancel() and tasks and not there.done():
                with suppress(RuntimeError):
                    driver.loop.call_soon_threadsafe(tasks[0].cancel)
            there.cancel()

    def _make_driver(self) -> Driver:
        driver = Context().run(Driver, self.state)
        driver.start()
        return driver

    def _make_on(self, loop: asyncio.AbstractEventLoop) -> Driver:
        """Make a driver on the process's own loop, which never does anything for long."""
        made: Future[Driver] = Future()

        def make() -> None:
            if made.set_running_or_notify_cancel():
                try:
                    made.set_result(self._make_driver())
                except BaseException as error:
                    made.set_exception(error)

        loop.call_soon_threadsafe(make)
        try:
            return made.result(_MOVE_SECONDS)
        except TimeoutError:
            if made.cancel():  # and so is never made, beside the next one
                raise ShardUnavailable(
                    "", "The thread that has the channel layer's connections does not run."
                ) from None
            return made.result()

    def _moves(self, driver: Driver, loop: asyncio.AbstractEventLoop, receives: bool, waits: bool) -> bool:
        if driver.loop is loop:
            return False
        if driver.loop is self._own_loop.loop:
            return receives
        if waits and self.state.mailboxes.any_reader():
            raise RuntimeError("Two event loops are trying to receive() on one channel layer at once!")
        return waits
