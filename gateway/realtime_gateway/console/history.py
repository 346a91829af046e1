"""Pure. What a gateway did in each of the last seconds, from counters that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT_SAMPLES = 120


@dataclass(frozen=True)
class Totals:
    """What one process has counted since its start, and its connections now."""

    connections: float = 0.0
    received: float = 0.0
    sent: float = 0.0
    published: float = 0.0
    delivered: float = 0.0


RATES = ("received", "sent", "published", "delivered")


class History:
    """The last samples, oldest first."""

    def __init__(self) -> None:
        self._samples: deque[dict[str, float]] = deque(maxlen=KEPT_SAMPLES)
        self._before: dict[str, Totals] = {}
        self._at: float | None = None

    def add(self, now: float, totals: Mapping[str, Totals]) -> None:
        """Add what each process tells now; one that is new, or has begun again, counts from here.

        Args:
            now: monotonic, in seconds.
            totals: by process.
        """
        seconds = 0.0 if self._at is None else now - self._at
        sample = {"connections": sum(each.connections for each in totals.values())}
        for name in RATES:
            grown = (
                max(0.0, getattr(each, name) - getattr(self._before[process], name))
                for process, each in totals.items()
                if process in self._before
            )
            sample[name] = sum(grown) / seconds if seconds > 0 else 0.0
        self._samples.append(sample)
        # One that does not answer for a moment is not new when it does again.
        self._before.update(totals)
        self._at = now

    def samples(self) -> list[dict[str, float]]:
        """Return connections, and messages a second, for each look."""
        return list(self._samples)
