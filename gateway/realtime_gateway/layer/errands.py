"""Calls from other loops and threads: begun on the loop that has the I/O, answered on the caller's.

Either loop may end at any moment. So what a caller waits for lives on his own loop, and what a driver has not answered
when it ends comes back to him::

    handed over ──▶ begun ──▶ ticket taken ──▶ answered
         └────────────┘             └── the next driver settles the ticket, since the message may be stored by now
               └── given back, to be handed to the next driver
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from realtime_gateway.layer.machine.actions import Settle

if TYPE_CHECKING:
    from realtime_gateway.layer.driver import Driver

T = TypeVar("T")
# What is done for a caller: (driver, the errand where he is on another loop). Without a ticket it may be done again.
Request = Callable[["Driver", "Errand[Any] | None"], Coroutine[Any, Any, T]]

# How often a caller looks whether the loop that has his errand still runs: one that stands still tells nobody.
_LOOK_SECONDS = 0.5


class Errand(Generic[T]):
    """One call, made on its caller's loop.

    Args:
        request: what is to be done.

    Attributes:
        held_by: who has to answer it or give it back.
        is_away: whether its ticket has outlived the driver that gave it; whoever settles that answers.
        task: does it.
    """

    def __init__(self, request: Request[T]) -> None:
        self.request = request
        self.held_by: Errands | None = None
        self.is_away = False
        self.task: asyncio.Task[T] | None = None
        self._caller = asyncio.get_running_loop()
        self._news: asyncio.Future[None] = self._caller.create_future()
        self._outcome: tuple[Any, BaseException | None] | None = None
        self._ticket: int | None = None
        self._ended: asyncio.Future[Settle] | None = None
        self._settled: Settle | None = None
        self._told_too: Callable[[Settle], None] | None = None

    # On the caller's loop

    async def is_answered(self, driver: Driver) -> bool:
        """Wait until it is; False as soon as it has to be seen to that a driver lives which does it."""
        while not self._news.done() and driver.alive:
            await asyncio.wait((self._news,), timeout=_LOOK_SECONDS)
        self._news = self._caller.create_future()
        return self._outcome is not None

    def answer(self) -> T:
        """Return, or raise, what came of it."""
        assert self._outcome is not None, "it is answered"
        value, error = self._outcome
        if error is not None:
            raise error
        answer: T = value
        return answer

    def give_up(self) -> None:
        """The caller waits no longer."""
        if self.held_by is not None:
            self.held_by.drop(self)

    def _hear(self, outcome: tuple[Any, BaseException | None] | None) -> None:
        self._outcome = self._outcome or outcome
        if not self._news.done():
            self._news.set_result(None)

    # Where the I/O is

    def takes(self, driver: Driver, ended: asyncio.Future[Settle]) -> None:
        """Take over what was asked for in this step: from here on it is not to be asked for again."""
        self._ended = ended
        if ended.done():
            self._settled = ended.result()
        else:
            self._ticket = driver.settle_through(self.settled)

    def settled(self, action: Settle) -> None:
        """Hear how it ended, from whichever driver."""
        self._settled = action
        if self._told_too is not None:
            self._told_too(action)
        if self.is_away:
            self.tell((action, None))
        elif self._ended is not None and not self._ended.done():
            self._ended.set_result(action)

    def tell_too(self, owner: Callable[[Settle], None]) -> None:
        """Tell somebody else as well how it ended, now if it has ended already: the task is cancelled."""
        if self._settled is not None:
            owner(self._settled)
        else:
            self._told_too = owner

    def come_back(self, driver: Driver) -> None:
        """The driver ends, or somebody has cancelled the task."""
        if self._settled is not None:
            self.tell((self._settled, None))
            return
        if self._ticket is not None:
            self.is_away = True
            driver.leave_ticket(self._ticket, self.settled)
        self.tell(None)

    def tell(self, outcome: tuple[Any, BaseException | None] | None) -> None:
        """Tell the caller the value or the error; None, that nobody is at it."""
        with suppress(RuntimeError):  # his loop has been closed, and with it he has gone
            self._caller.call_soon_threadsafe(self._hear, outcome)


class Errands:
    """Those that one driver has. Whoever takes one out decides what becomes of it, so that it happens once."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._held: set[Errand[Any]] = set()

    def hand_over(self, errand: Errand[Any]) -> None:
        """Have one done, from any loop; in the order in which they are handed over."""
        errand.held_by = self
        with self._lock:
            self._held.add(errand)
        # Looked at in this order, since who ends the driver says so before he looks for what it has.
        if not self._driver.stopped:
            with suppress(RuntimeError):  # its loop has been closed
                self._driver.loop.call_soon_threadsafe(self._begin, errand)
                return
        self._give_back(errand)

    def drop(self, errand: Errand[Any]) -> None:
        """Nobody waits for one any more."""
        if self._take(errand) and errand.task is not None:
            with suppress(RuntimeError):
                self._driver.loop.call_soon_threadsafe(errand.task.cancel)

    async def end(self) -> None:
        """Give all back, and end the tasks that are at them: on the driver's loop, in its end."""
        tasks = self.give_back()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def give_back(self) -> list[asyncio.Task[Any]]:
        """Give all back, from any thread; return the tasks that are at them, to be cancelled on their loop."""
        with self._lock:
            held = list(self._held)
        for errand in held:
            self._give_back(errand)
        return [errand.task for errand in held if errand.task is not None]

    def _begin(self, errand: Errand[Any]) -> None:
        if self._driver.stopped:
            self._give_back(errand)
            return
        with self._lock:
            if errand not in self._held:
                return
            errand.task = self._driver.loop.create_task(errand.request(self._driver, errand))
        errand.task.add_done_callback(lambda task: self._done(errand, task))

    def _done(self, errand: Errand[Any], task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._give_back(errand)
            return
        error = task.exception()
        if self._take(errand):
            errand.tell((None if error else task.result(), error))

    def _give_back(self, errand: Errand[Any]) -> None:
        if self._take(errand):
            errand.come_back(self._driver)

    def _take(self, errand: Errand[Any]) -> bool:
        with self._lock:
            if errand not in self._held:
                return False
            self._held.remove(errand)
            errand.held_by = None
        return True
