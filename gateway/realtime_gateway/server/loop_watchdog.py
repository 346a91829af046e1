"""Says where the event loop is blocked: every connection of the process waits while one handler computes or sleeps.

A thread looks whether the loop has moved. It costs the loop one timer, four times in the period that is asked for.
Code that holds the interpreter for all that time, such as a regular expression's, keeps that thread from looking too:
then the loop itself says afterwards how long it was, if it has computed meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback

from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.server")

LOOKS_PER_PERIOD = 4
DEEPEST_FRAMES = 30
# A loop that comes late without having computed was not blocked by its own work: the process was stopped, or starved.
COMPUTING_SHARE = 0.5


class LoopWatchdog:
    """Reports a loop that does not move, with the stack it is blocked in where a thread sees it, and when it is back.

    Args:
        loop: the running loop, of the present thread.
        patience_seconds: how long it may stand still unreported.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, patience_seconds: float) -> None:
        self._loop = loop
        self._patience_seconds = patience_seconds
        self._look_seconds = patience_seconds / LOOKS_PER_PERIOD
        self._moved_at = time.monotonic()
        self._computed_seconds = time.thread_time()
        self._reported = False
        self._over = threading.Event()
        self._thread_id = threading.get_ident()
        self._beat_timer = loop.call_later(self._look_seconds, self._beat)
        threading.Thread(target=self._watch, name="loop watchdog", daemon=True).start()

    def dismiss(self) -> None:
        """Watch no more; from the loop's thread."""
        self._over.set()
        self._beat_timer.cancel()

    def _beat(self) -> None:
        now, computed = time.monotonic(), time.thread_time()
        late_seconds, computed_seconds = now - self._moved_at, computed - self._computed_seconds
        if self._reported:
            self._reported = False
            logger.warning("The event loop moves again after %.1f s", late_seconds)
        elif late_seconds > self._patience_seconds and computed_seconds > self._patience_seconds * COMPUTING_SHARE:
            recorder.loop_blocked.add()
            logger.warning(
                "The event loop was blocked for %.1f s, in which every connection waited. There is no stack: what it"
                " was in held the interpreter, as one step of a regular expression or of C code does",
                late_seconds,
            )
        self._moved_at, self._computed_seconds = now, computed
        self._beat_timer = self._loop.call_later(self._look_seconds, self._beat)

    def _watch(self) -> None:
        looked_at = time.monotonic()
        while not self._over.wait(self._look_seconds):
            now = time.monotonic()
            # A process that was stopped as a whole, or starved of the processor, has not blocked its loop.
            we_ran = now - looked_at < self._patience_seconds
            looked_at = now
            if we_ran and not self._reported and now - self._moved_at > self._patience_seconds:
                self._report(now - self._moved_at)

    def _report(self, seconds: float) -> None:
        self._reported = True
        recorder.loop_blocked.add()
        frame = sys._current_frames().get(self._thread_id)
        stack = "" if frame is None else "".join(traceback.format_stack(frame)[-DEEPEST_FRAMES:]).rstrip()
        logger.warning("The event loop is blocked for %.1f s; every connection waits. It is in:\n%s", seconds, stack)
