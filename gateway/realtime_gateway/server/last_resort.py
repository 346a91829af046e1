"""The end of a process whose event loop is blocked: a signal reaches a thread too, which does not wait for ever.

Signals reach an event loop as bytes on a descriptor (``signal.set_wakeup_fd``), which a loop that is inside
``time.sleep`` or a database driver never reads. So the bytes come here first, and are passed on to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Collection

logger = logging.getLogger("realtime_gateway.server")

# How long after its window a drain may take, and then how long the loop has to answer.
GRACE_SECONDS = 5.0
ANSWER_SECONDS = 5.0
# Whoever blocks the loop may hold the log's lock, or write to a pipe that nobody reads.
TELLING_SECONDS = 2.0


def flush_stdout() -> None:
    """Let go what has been printed, which ``os._exit`` would lose; give up where nobody takes it."""
    flushing = threading.Thread(target=_flush_stdout, daemon=True)
    flushing.start()
    flushing.join(TELLING_SECONDS)


def _flush_stdout() -> None:
    with contextlib.suppress(OSError, ValueError):  # its reader is gone, or it is closed
        sys.stdout.flush()


class LastResort:
    """Ends the process when it was told to stop, its drain should be over, and its event loop does not answer.

    A loop that answers is left alone, however long its application's shutdown takes. Make it in the main thread, on the
    running loop and after its signal handlers; asyncio forgets it where somebody adds another handler later.

    Args:
        loop: what must answer.
        signals: those that ask to stop; a second one leaves no window any more.
        window_seconds: how long a drain may take.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, signals: Collection[int], window_seconds: float) -> None:
        self._loop = loop
        self._signals = frozenset(signals)
        self._window_seconds = window_seconds
        self._hears, self._told = socket.socketpair()
        self._told.setblocking(False)
        self._previous = signal.set_wakeup_fd(self._told.fileno(), warn_on_full_buffer=False)
        # A copy of our own: the loop may close its descriptor, and the number may become somebody else's.
        self._onward = os.dup(self._previous) if self._previous >= 0 else None
        self._blocked_thread = threading.get_ident()
        threading.Thread(target=self._watch, name="last resort", daemon=True).start()

    def dismiss(self) -> None:
        """Give the signals back; from the main thread."""
        present = signal.set_wakeup_fd(-1)
        back = self._previous if present == self._told.fileno() else present
        if back >= 0:
            with contextlib.suppress(ValueError, OSError):  # closed with its loop
                signal.set_wakeup_fd(back, warn_on_full_buffer=False)
        self._told.close()

    def _watch(self) -> None:
        deadline: float | None = None
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if select.select([self._hears], [], [], left)[0]:
                numbers = self._hears.recv(64)
                if not numbers:
                    break
                self._pass_on(numbers)
                for _ in filter(self._signals.__contains__, numbers):
                    deadline = self._deadline(deadline)
            elif self._loop_answers():
                deadline = time.monotonic() + GRACE_SECONDS
            else:
                self._end()
        self._hears.close()
        if self._onward is not None:
            os.close(self._onward)

    def _deadline(self, present: float | None) -> float:
        """Return when the loop is asked, after one more signal."""
        now = time.monotonic()
        if present is None:
            return now + self._window_seconds + GRACE_SECONDS
        return min(present, now + GRACE_SECONDS)

    def _pass_on(self, numbers: bytes) -> None:
        if self._onward is not None:
            with contextlib.suppress(OSError):  # the loop is closed, or has more signals than it can take
                os.write(self._onward, numbers)

    def _loop_answers(self) -> bool:
        answer = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answer.set)
        except RuntimeError:  # closed: the process is about to end
            return True
        return answer.wait(ANSWER_SECONDS)

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(TELLING_SECONDS)
        os._exit(1)

    def _tell(self) -> None:
        frame = sys._current_frames().get(self._blocked_thread)
        stack = "" if frame is None else "".join(traceback.format_stack(frame)).rstrip()
        logger.error(
            "The event loop does not answer and the drain's time is over; leaving. It is blocked in:\n%s", stack
        )
        logging.shutdown()
        _flush_stdout()
