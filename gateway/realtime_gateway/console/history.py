"""Pure. What a gateway did in each of the last seconds, from counters that only grow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT_SAMPLES = 120
# One that does not answer for a moment is not new when it does again; one that is gone is forgotten.
REMEMBERED_SECONDS = 60.0


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
        # process → when it was heard last, and what it told then
        self._before: dict[str, tuple[float, Totals]] = {}

    def add(self, now: float, totals: Mapping[str, Totals]) -> None:
        """Add what each process tells now; one that is new, or has begun again, counts from here.

        What one that has not answered for some looks has done meanwhile is spread over that time.

        Args:
            now: monotonic, in seconds.
            totals: by process.
        """
        sample = dict.fromkeys(RATES, 0.0)
        sample["connections"] = sum(each.connections for each in totals.values())
        for process, each in totals.items():
            at, before = self._before.get(process, (now, each))
            for name in RATES:
                grown = max(0.0, getattr(each, name) - getattr(before, name))
                sample[name] += grown / (now - at) if now > at else 0.0
        self._samples.append(sample)
        self._before.update({process: (now, each) for process, each in totals.items()})
        self._before = {process: told for process, told in self._before.items() if now - told[0] <= REMEMBERED_SECONDS}

    def samples(self) -> list[dict[str, float]]:
        """Return connections, and messages a second, for each look."""
        return list(self._samples)
