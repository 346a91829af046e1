"""Pure. When each WebSocket is closed during a drain.

Clients that lose a server come back at once, to another one. So the closes are spread evenly over a window and each is
moved a little at random: the servers that stay see a steady trickle instead of a wave, and clients that share a timer
(a browser that reconnects after exactly one second) do not fall into step. Where there is no such window, or it is too
short, clients that can be told are told when to come back, each at another time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# How many clients a second may come back to the servers that stay, before each is told to wait a while of its own; and
# the longest such while.
COME_BACK_PER_SECOND = 100
LONGEST_ABSENCE_SECONDS = 60


class Phase(Enum):
    """A server's life, in order; each phase may be left for any later one."""

    STARTING = "starting"
    SERVING = "serving"
    NOT_READY = "not ready"  # asked to stop: not ready, and still accepting
    CLOSING = "closing"  # not accepting; closing one by one
    STOPPED = "stopped"

    @property
    def draining(self) -> bool:
        """Whether the server has been asked to stop."""
        return self not in (Phase.STARTING, Phase.SERVING)


@dataclass(frozen=True)
class Pace:
    """How fast a drain closes WebSockets.

    Attributes:
        period_seconds: the longest that the closing is spread over.
        jitter: the share of the gap between two closes by which each may move, 0 to 1.
        slowest_per_second: few connections are closed at this rate rather than over the whole period.
    """

    period_seconds: float
    jitter: float
    slowest_per_second: float


def closing_times(count: int, pace: Pace, random: Callable[[], float]) -> list[float]:
    """Return how many seconds from now each of ``count`` connections is closed, in rising order.

    None is closed later than ``period_seconds``; ``random`` answers numbers from 0 to 1.
    """
    if count <= 0:
        return []
    window = min(pace.period_seconds, count / pace.slowest_per_second)
    gap = window / count
    moved = sorted(gap * (index + pace.jitter * (random() - 0.5)) for index in range(count))
    return [min(max(time, 0.0), pace.period_seconds) for time in moved]


def come_back_seconds(count: int, window_seconds: float, random: Callable[[], float]) -> int:
    """Return in how many seconds one of ``count`` clients, which are closed within the window, is to come back."""
    absence = min(count / COME_BACK_PER_SECOND, LONGEST_ABSENCE_SECONDS)
    if absence <= max(window_seconds, 1):
        return 1
    return 1 + math.floor(random() * math.ceil(absence))
