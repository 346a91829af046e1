"""What the connections of one event loop share for their limits: tokens of users in hand, places, and the log."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from contextvars import Context
from math import inf

from realtime_gateway.resource.limits import AddressLimits, UserLimits
from realtime_gateway.security.across_pods import AcrossPods
from realtime_gateway.security.denial import Application, Reason, Receive, Scope, Send, deny
from realtime_gateway.security.lease import LEAST_WAIT_SECONDS, Lease
from realtime_gateway.security.limit_log import LimitLog
from realtime_gateway.security.places import Places
from realtime_gateway.telemetry import recorder

# Keys that were refused are remembered until there is a token for them again, so that a flood does not reach Redis.
_REMEMBERED = 10_000
# Tokens in hand stay so long after a user's last connection: who comes again at once must not pay for them again.
KEEP_SECONDS = 30.0
_MOST_KEPT = 10_000


class Arrivals:
    """The limits of new and open connections of a user or an address.

    Args:
        limits: the section of the resource, whose class says which of the two.
    """

    def __init__(self, limits: AddressLimits | UserLimits) -> None:
        of_address = isinstance(limits, AddressLimits)
        section = "security.limits.perAddress" if of_address else "security.limits.perUser"
        self.per_minute = limits.connections_per_minute
        self.most = limits.open_connections
        self.rate_limit = f"{section}.connectionsPerMinute"
        self.open_limit = f"{section}.openConnections"
        self.too_fast = Reason.ADDRESS_RATE if of_address else Reason.USER_RATE
        self.too_many = Reason.ADDRESS_CONNECTIONS if of_address else Reason.USER_CONNECTIONS
        # On the metrics page from the start: a rate over a counter that appears late misses its first step.
        for limit, is_set in ((self.rate_limit, self.per_minute), (self.open_limit, self.most)):
            if is_set:
                recorder.limits_met.add(0, limit)
        self._called = "address" if of_address else "user"

    def who(self, key: str) -> str:
        """Return whom a key stands for, for the log."""
        return f"{self._called} {key[2:]!r}"


class Limiter:
    """Of one event loop.

    Args:
        loop: the loop.
        logger: who says which limits were met.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
        self._now = loop.time
        self._pods = AcrossPods()
        self._places = Places(self._pods)
        self._tokens: dict[str, SharedTokens] = {}
        self._unused_since: OrderedDict[str, float] = OrderedDict()  # of tokens without a connection, the oldest first
        self._refused_until: dict[str, float] = {}
        self.log = LimitLog(loop.call_later, logger)

    async def run(
        self, arrivals: Arrivals, key: str, application: Application, asgi: tuple[Scope, Receive, Send]
    ) -> None:
        """Run an application for a connection of a user or address, or refuse it."""
        scope, receive, send = asgi
        wait_seconds = await self._arrives_in(key, arrivals.per_minute) if arrivals.per_minute else 0.0
        if wait_seconds:
            self.log.met(arrivals.rate_limit, arrivals.who(key), "refused with 429")
            await deny(scope, receive, send, arrivals.too_fast, "", wait_seconds)
        elif not arrivals.most:
            await application(scope, receive, send)
        elif not await self._places.take(key, arrivals.most):
            self.log.met(arrivals.open_limit, arrivals.who(key), "refused with 429")
            await deny(scope, receive, send, arrivals.too_many, "")
        else:
            try:
                await application(scope, receive, send)
            finally:
                self._places.leave(key)

    async def _arrives_in(self, key: str, per_minute: int) -> float:
        """Let a connection arrive and return 0.0, or return in how many seconds one may."""
        now, key = self._now(), f"c:{per_minute}:{key}"
        refused_until = self._refused_until.get(key, -inf)
        if now < refused_until:
            return refused_until - now
        granted, wait_seconds = await self._pods.take_tokens(key, (per_minute / 60, per_minute), 1, now)
        self._refused_until.pop(key, None)
        if granted:
            return 0.0
        wait_seconds = max(wait_seconds, LEAST_WAIT_SECONDS)
        if len(self._refused_until) >= _REMEMBERED:
            del self._refused_until[next(iter(self._refused_until))]
        self._refused_until[key] = now + wait_seconds
        return wait_seconds

    def tokens(self, key: str, rate: tuple[int, int]) -> SharedTokens:
        """Return the tokens that all connections of a user here share; give them back with ``let_go``."""
        # A bucket is kept by its level's time: with another rate it is another bucket.
        key = "{}:{}:{}".format(*rate, key)
        self._forget_old()
        found = self._tokens.get(key)
        if found is None:
            found = self._tokens[key] = SharedTokens(key, rate, self._pods)
        self._unused_since.pop(key, None)
        found.users += 1
        return found

    def let_go(self, tokens: SharedTokens) -> None:
        """Forget tokens some time after their last connection has ended."""
        tokens.users -= 1
        if not tokens.users:
            self._unused_since[tokens.key] = self._now()
        self._forget_old()

    def _forget_old(self) -> None:
        # The oldest first, and at most two for each that comes or goes, so that nobody waits for thousands.
        for _ in range(2):
            oldest = next(iter(self._unused_since), None)
            if oldest is None:
                return
            is_old = self._now() - self._unused_since[oldest] >= KEEP_SECONDS
            if is_old or len(self._unused_since) > _MOST_KEPT:
                del self._unused_since[oldest], self._tokens[oldest]


class SharedTokens:
    """Tokens of a bucket over all pods, of which some are in hand.

    Args:
        key: the bucket's name.
        rate: tokens a second, and how many fit.
        pods: who is asked for more.
    """

    def __init__(self, key: str, rate: tuple[int, int], pods: AcrossPods) -> None:
        self.key = key
        self.users = 0
        self._rate = rate
        self._pods = pods
        self._lease = Lease(*rate)
        self._loop = asyncio.get_running_loop()
        self._fetching: asyncio.Task[None] | None = None
        self._fetch(0)  # so that not even the first message waits long

    def take(self, cost: int, now: float) -> float:
        """As ``Lease.take``; fetches more ahead of need."""
        lease = self._lease
        wait_seconds = lease.take(cost, now)
        if lease.left * 2 < lease.size and self._fetching is None and lease.is_low(now):
            self._fetch(cost if wait_seconds else 0)
        return wait_seconds

    async def fetched(self, cost: int) -> None:
        """Wait until tokens for such a message were asked for."""
        fetching = self._fetching or self._fetch(cost)
        await asyncio.wait((fetching,))

    def _fetch(self, cost: int) -> asyncio.Task[None]:
        self._fetching = self._loop.create_task(self._take(self._lease.wanted(cost)), context=Context())
        return self._fetching

    async def _take(self, wanted: int) -> None:
        try:
            granted, wait_seconds = await self._pods.take_tokens(self.key, self._rate, wanted, self._loop.time())
            self._lease.came(granted, wanted, wait_seconds, self._loop.time())
        finally:
            self._fetching = None
