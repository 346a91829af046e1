"""Pure. Whether one more message of a client is within the rates of its connection and of its user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from realtime_gateway.resource.limits import ByteRate, ConnectionLimits, MessageRate, Policy, UserLimits
from realtime_gateway.security.token_bucket import TokenBucket

# A rate of the resource, behind its name there.
Named = tuple[str, MessageRate | ByteRate]


class Tokens(Protocol):
    """Where a rate's tokens come from."""

    def take(self, cost: int, now: float) -> float:
        """Take them and return 0.0; else return in how many seconds to try again, or ``lease.ASK``."""


class Rate(NamedTuple):
    """One rate that messages are held against.

    Attributes:
        limit: its name in a resource.
        policy: what becomes of a message above it.
        by_size: whether a message costs its bytes, or one.
        told: what a client reads that is closed.
        tokens: the bucket.
    """

    limit: str
    policy: Policy
    by_size: bool
    told: str
    tokens: Tokens


class Above(NamedTuple):
    """A message is above a rate.

    Attributes:
        rate: which.
        cost: how many tokens it takes of it.
        wait_seconds: when to ask again; ``lease.ASK``: when tokens were fetched.
    """

    rate: Rate
    cost: int
    wait_seconds: float


class MessageRates:
    """The rates of one connection, one message after the other.

    Args:
        rates: those that hold for it, in the order in which they are asked.
    """

    __slots__ = ("_at", "_rates", "_takes")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = tuple(rates)
        self._takes = tuple((rate.tokens.take, rate.by_size) for rate in rates)
        self._at = 0  # the rates before it have been paid by the present message

    def ask(self, size_bytes: int, now: float) -> Above | None:
        """Return None where the present message may pass; else the rate that it is above, to be asked again."""
        for at, (take, by_size) in enumerate(self._takes):
            if at >= self._at:
                wait_seconds = take(size_bytes if by_size else 1, now)
                if wait_seconds:
                    self._at = at
                    return Above(self._rates[at], size_bytes if by_size else 1, wait_seconds)
        self._at = 0
        return None

    def dropped(self) -> None:
        """Go on with the next message."""
        self._at = 0


class Bucket:
    """A bucket of one connection."""

    __slots__ = ("take",)

    def __init__(self, rate_per_second: float, burst: int) -> None:
        self.take = TokenBucket(rate_per_second, burst).take_all


def numbers(rate: MessageRate | ByteRate) -> tuple[int, int]:
    """Return tokens a second, and how many fit."""
    if isinstance(rate, MessageRate):
        return rate.per_second, rate.burst or rate.per_second
    return rate.per_second_bytes, rate.burst_bytes or rate.per_second_bytes


def rates_of(limits: ConnectionLimits | UserLimits) -> list[Named]:
    """Return the rates that are set, with their names in a resource."""
    whose = "perConnection" if isinstance(limits, ConnectionLimits) else "perUser"
    found = ((f"security.limits.{whose}.messages", limits.messages), (f"security.limits.{whose}.bytes", limits.volume))
    return [(limit, rate) for limit, rate in found if rate is not None]


def held_against(limit: str, rate: MessageRate | ByteRate, tokens: Tokens) -> Rate:
    """Return a rate of the resource with where its tokens come from."""
    by_size = isinstance(rate, ByteRate)
    return Rate(limit, rate.policy, by_size, "too much data" if by_size else "too many messages", tokens)
