"""Pure. How old a connection may get.

Connections that all came at once (after a restart, to the one pod that was up) would all be sent away at once by one
maximum age, and come back as one wave. So each gets its own, somewhat below the maximum.
"""

from __future__ import annotations

from collections.abc import Callable

# The share of the maximum within which ages are spread: none is older than the maximum, none is sent away before 75 %.
AGE_JITTER = 0.25


def age_seconds(max_age_seconds: float, lifetime_seconds: float, random: Callable[[], float]) -> float | None:
    """Return how long one connection may live, or None for as long as it likes.

    Args:
        max_age_seconds: spread with jitter; 0 is no limit.
        lifetime_seconds: Daphne's ``websocket_timeout``, exact; negative is no limit.
        random: answers numbers from 0 to 1.
    """
    ages = [lifetime_seconds] if lifetime_seconds >= 0 else []
    if max_age_seconds > 0:
        ages.append(max_age_seconds * (1 - AGE_JITTER * random()))
    return min(ages, default=None)
