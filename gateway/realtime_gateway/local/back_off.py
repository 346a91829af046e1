"""How long a child that ended by itself stays down before it starts again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
# A child that ran this long had recovered; its next end is counted as a first one.
HEALTHY_SECONDS = 60.0


@dataclass(frozen=True)
class BackOff:
    """The ends of one child that followed one another closely.

    Attributes:
        ends: how many.
    """

    ends: int = 0

    def after_end(self, ran_seconds: float) -> BackOff:
        """Return the state after another end of a child that ran for ``ran_seconds``."""
        return BackOff(1 if ran_seconds >= HEALTHY_SECONDS else self.ends + 1)

    @property
    def delay_seconds(self) -> float:
        """How long to wait: doubled with each end, up to the longest."""
        return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(self.ends - 1, 16))
