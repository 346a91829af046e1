"""Virtual time: what happens when, in an order that the seed alone decides."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random
from typing import Any


class Clock:
    """A queue of things to come, and a log of what came.

    Args:
        random: the only source of chance.
        keep_log: whether lines are written; a failing seed is run once more with it.
    """

    def __init__(self, random: Random, keep_log: bool = False) -> None:
        self.random = random
        self.now = 0.0
        self.log: list[str] = []
        self.steps = 0
        self.keeps_log = keep_log
        self._order = 0
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, act: Callable[..., None], *arguments: Any) -> None:
        """Do something at a time, after everything that was planned for that time before."""
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, act, arguments))

    def after(self, seconds: float, act: Callable[..., None], *arguments: Any) -> None:
        """Do something after a while."""
        self.at(self.now + seconds, act, *arguments)

    def run_until(self, end: float) -> None:
        """Let time pass."""
        queue = self._queue
        while queue and queue[0][0] <= end:
            self.now, _, act, arguments = heapq.heappop(queue)
            self.steps += 1
            act(*arguments)
        self.now = end

    def note(self, who: str, what: str, *more: Any) -> None:
        """Write one line of the log."""
        if self.keeps_log:
            self.log.append(f"{self.now:9.4f} {who:<8} {what} {' '.join(map(_text, more))}".rstrip())


def _text(value: Any) -> str:
    return ascii(value)[2:-1] if isinstance(value, bytes) else str(value)
