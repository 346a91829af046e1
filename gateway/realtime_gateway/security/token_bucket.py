"""Pure. Token buckets: so many at once, so many a second over time.

A bucket is one number, the time at which it was last empty; what has come since then, up to its burst, is in it.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf

# What arithmetic with floats may take away from a whole token.
_ROUNDING = 1e-6
# How many buckets are looked at when a newcomer finds no room, and how many rates' newcomers have a bucket to share.
_LOOKS = 4
_RATES = 100


class TokenBucket:
    """A bucket, full at first.

    Args:
        rate_per_second: how many tokens come; above 0.
        burst: how many fit.
    """

    __slots__ = ("_burst_seconds", "_empty_at", "_rounding_seconds", "_token_seconds")

    def __init__(self, rate_per_second: float, burst: float) -> None:
        self._token_seconds = 1 / rate_per_second
        self._burst_seconds = burst / rate_per_second
        self._rounding_seconds = _ROUNDING * self._token_seconds
        self._empty_at = -inf

    def take(self, wanted: int, now: float) -> int:
        """Take as many of the wanted tokens as there are, and return how many those are.

        Args:
            wanted: how many.
            now: in seconds, of a clock that does not go back.
        """
        empty_at = max(self._empty_at, now - self._burst_seconds)
        taken = min(wanted, int((now - empty_at) / self._token_seconds + _ROUNDING))
        self._empty_at = empty_at + taken * self._token_seconds
        return taken

    def take_all(self, cost: float, now: float) -> float:
        """Take all of them and return 0.0, or none and return in how many seconds there are so many.

        What costs more than a full bucket holds takes a full one.
        """
        # Once for every message: comparisons are a third of the price of max() and min().
        full_since = now - self._burst_seconds
        empty_at = self._empty_at if self._empty_at > full_since else full_since
        price = cost * self._token_seconds
        taken_until = empty_at + (price if price < self._burst_seconds else self._burst_seconds)
        if taken_until > now + self._rounding_seconds:
            return taken_until - now
        self._empty_at = taken_until
        return 0.0

    def wait_seconds(self, now: float) -> float:
        """Return in how many seconds there is a whole token."""
        return max(0.0, max(self._empty_at, now - self._burst_seconds) + self._token_seconds - now)

    def is_full(self, now: float) -> bool:
        """Whether it is as a new one would be."""
        return self._empty_at <= now - self._burst_seconds + self._rounding_seconds


class TokenBuckets:
    """Buckets by name, of a process that is alone with them.

    Args:
        most: how many are kept; beyond it those that are full go, and where none is, newcomers share one.
    """

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._buckets: OrderedDict[tuple[str, float, float], TokenBucket] = OrderedDict()
        self._of_newcomers: dict[tuple[float, float], TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, rate: tuple[float, float], wanted: int, now: float) -> tuple[int, float]:
        """Take tokens as ``TokenBucket.take`` does.

        Args:
            key: the bucket's name.
            rate: tokens a second, and how many fit.
            wanted: how many.
            now: in seconds.

        Returns:
            tuple: how many are taken, and in how many seconds there is another one, 0 where all are taken.
        """
        bucket = self._buckets.get((key, *rate))
        if bucket is None:
            bucket = self._new(key, rate, now)
        taken = bucket.take(wanted, now)
        return taken, 0.0 if taken == wanted else bucket.wait_seconds(now)

    def _new(self, key: str, rate: tuple[float, float], now: float) -> TokenBucket:
        if len(self._buckets) >= self._most and not self._has_made_room(now):
            # None that is in use goes, or many new names would be a way around every limit.
            if rate not in self._of_newcomers and len(self._of_newcomers) >= _RATES:
                del self._of_newcomers[next(iter(self._of_newcomers))]
            return self._of_newcomers.setdefault(rate, TokenBucket(*rate))
        bucket = self._buckets[key, *rate] = TokenBucket(*rate)
        return bucket

    def _has_made_room(self, now: float) -> bool:
        # Some at a time, in turns: a look at all of them for each newcomer would hold up everybody.
        room = False
        for _ in range(min(_LOOKS, len(self._buckets))):
            name, bucket = self._buckets.popitem(last=False)
            if bucket.is_full(now):
                room = True
            else:
                self._buckets[name] = bucket
        return room
