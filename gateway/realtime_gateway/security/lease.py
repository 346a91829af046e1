"""Pure. Tokens of a bucket that processes share, fetched some ahead of use, so that no message waits for Redis.

One token is fetched at first, and four times as many each time that half of them are used, up to a tenth of the
bucket's burst. So a process has up to a tenth in hand that others cannot have, and what it has in hand when the bucket
is full comes on top of the burst; but one whose user says little takes little from the others.
"""

from __future__ import annotations

from math import inf

# What ``take`` returns where tokens have to be fetched first.
ASK = -1.0
_SHARE = 0.1
_GROWTH = 4
# After a bucket was found empty it is left alone for so long: a flood must not become one of Redis.
LEAST_WAIT_SECONDS = 0.02


class Lease:
    """The tokens that a process has in hand.

    Args:
        rate_per_second: of the shared bucket.
        burst: how many fit into it.
    """

    __slots__ = ("_burst", "_empty_until", "_most", "_rate", "left", "size")

    def __init__(self, rate_per_second: float, burst: int) -> None:
        self._rate = rate_per_second
        self._burst = burst
        self._empty_until = -inf
        self._most = max(1, int(burst * _SHARE))
        self.size = 1
        self.left = 0

    def take(self, cost: int, now: float) -> float:
        """Take tokens and return 0.0, or return in how many seconds to try again, or ASK.

        What costs more than the bucket holds takes all that it holds.
        """
        cost = cost if cost < self._burst else self._burst
        if cost <= self.left:
            self.left -= cost
            return 0.0
        if now < self._empty_until:
            return max((cost - self.left) / self._rate, self._empty_until - now)
        return ASK

    def is_low(self, now: float) -> bool:
        """Whether more should be fetched before they are needed."""
        return self.left * 2 < self.size and now >= self._empty_until

    def wanted(self, cost: int = 0) -> int:
        """Return how many to fetch for a message that costs so much, and those after it."""
        return max(self.size, min(cost, self._burst)) - self.left

    def came(self, granted: int, wanted: int, wait_seconds: float, now: float) -> None:
        """Note what a bucket has given of what was wanted, and in how long there is more."""
        self.left += granted
        if granted == wanted:
            self.size = min(self._most, self.size * _GROWTH)
        else:
            self._empty_until = now + max(wait_seconds, LEAST_WAIT_SECONDS)
