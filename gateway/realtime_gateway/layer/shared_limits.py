"""Limits over all processes: a shard is asked for a moment; where it does not answer, this process answers alone.

A limit must not hold up those whom it protects, so nobody waits here for a shard as a sender does. One that does not
answer is left alone for a second, and said in the log once a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from realtime_gateway.layer.refusals import is_of_the_shard, readable
from realtime_gateway.layer.shards.link import ErrorAnswer, Link
from realtime_gateway.security.token_bucket import TokenBuckets
from realtime_gateway.telemetry import recorder

if TYPE_CHECKING:
    from realtime_gateway.layer.driver import Driver

log = logging.getLogger("realtime_gateway.layer")

# A shard that is well answers in less than a millisecond; the first connection to it may take a while.
ANSWER_SECONDS = 0.25
FIRST_SECONDS = 2.0
AGAIN_SECONDS = 1.0
LOG_PERIOD_SECONDS = 60.0
# What the script can count in whole microseconds.
MOST_TOKENS = 1e12
LONGEST_SECONDS = 1e8
# How long places are held by who does not say again that he holds them, because he is dead.
HOLD_SECONDS = 30.0

SHARD, PROCESS = "shard", "process"
for _by in (SHARD, PROCESS):
    recorder.layer_limits.add(0, _by)


Arguments = tuple[str | int, ...]
# Asked for when they leave: what is counted may have become another number while a link was made.
Say = Callable[[], Arguments]


class Tokens(NamedTuple):
    """What came of asking for tokens.

    Attributes:
        granted: how many were taken.
        wait_seconds: where that is fewer than were wanted, in how long there is another one; else 0.
        shared: whether all processes share the bucket; False where its shard does not answer.
    """

    granted: int
    wait_seconds: float
    shared: bool


class Places(NamedTuple):
    """What came of asking for places.

    Attributes:
        granted: whether they are held; where they are not shared, whether there are so many at all.
        shared: whether those of other processes were counted; False where the shard does not answer.
    """

    granted: bool
    shared: bool


class SharedLimits:
    """What a process knows of shards that do not answer, and what it counts alone meanwhile."""

    def __init__(self) -> None:
        self.buckets = TokenBuckets()
        # Shard → until when it is left alone; while there is no link to it, until there is one.
        self._left_alone: dict[str, float] = {}
        self._said_at: dict[str, float] = {}
        self._met: set[str] = set()  # shards that have answered once

    def is_left_alone(self, shard: str, link: Link | None, now: float) -> bool:
        """Whether a shard is not to be asked now."""
        until = self._left_alone.get(shard, -inf)
        return now < until if link is not None else until > -inf

    def leave_alone(self, shard: str, now: float, reason: str) -> None:
        """Note that a shard has not answered."""
        self._left_alone[shard] = now + AGAIN_SECONDS
        self.say(shard, now, reason)

    def say(self, shard: str, now: float, reason: str) -> None:
        """Log, once a period, that this process answers in place of a shard."""
        if now - self._said_at.get(shard, -inf) >= LOG_PERIOD_SECONDS:
            self._said_at[shard] = now
            log.warning("limits over all processes hold in each process alone: shard %s %s", shard, reason)

    def has_answered(self, shard: str) -> None:
        """Note that a shard is well."""
        self._met.add(shard)
        if self._left_alone:
            self._left_alone.pop(shard, None)

    def connect_seconds(self, shard: str) -> float:
        """How long to wait for a link to a shard."""
        return ANSWER_SECONDS if shard in self._met else FIRST_SECONDS


async def take_tokens(driver: Driver, key: str, rate: tuple[float, float], wanted: int) -> Tokens:
    """Take tokens, ``rate`` being how many come in a second and how many fit."""
    state, (rate_per_second, burst) = driver.state, rate
    name = state.group_names.limit(key)
    arguments = (f"{1e6 / rate_per_second:.6f}", f"{burst:.6f}", wanted)
    answer = await _ask(driver, _owner(driver, name), "tokens", (state.identity.names.tokens(name),), lambda: arguments)
    if answer is None:
        granted, wait_seconds = state.shared_limits.buckets.take(key, rate, wanted, driver.loop.time())
        return Tokens(granted, wait_seconds, shared=False)
    return Tokens(answer[0], answer[1] / 1e6, shared=True)


async def hold_places(driver: Driver, key: str, count: int, most: int) -> Places:
    """Hold ``count`` places, of ``most`` or, with 0, whatever others do."""
    state = driver.state
    name = state.group_names.limit(key)
    arguments = (state.client_prefix, count, most, int(HOLD_SECONDS * 1000))
    answer = await _ask(driver, _owner(driver, name), "places", (state.identity.names.places(name),), lambda: arguments)
    if answer is None:
        return Places(not most or count <= most, shared=False)
    return Places(bool(answer), shared=True)


async def keep_places(driver: Driver, keys: Iterable[str], count: Callable[[str], int]) -> None:
    """Hold as many places of each thing as are counted when it is said, whatever others do."""
    state, by_shard = driver.state, defaultdict[str, dict[str, str]](dict)
    for key in keys:
        name = state.group_names.limit(key)
        by_shard[_owner(driver, name)][state.identity.names.places(name)] = key

    def arguments(held: dict[str, str]) -> Arguments:
        return (state.client_prefix, int(HOLD_SECONDS * 1000), *(count(key) for key in held.values()))

    await asyncio.gather(
        *(_ask(driver, shard, "keep", tuple(held), partial(arguments, held)) for shard, held in by_shard.items())
    )


def _owner(driver: Driver, name: str) -> str:
    return driver.state.machine.epochs.hosts.owner(name).name


async def _ask(driver: Driver, shard: str, script: str, keys: tuple[str, ...], arguments: Say) -> Any:
    """Run a script on a shard; None where it does not answer."""
    limits, loop = driver.state.shared_limits, driver.loop
    link = driver.links.open.get(shard)
    if limits.is_left_alone(shard, link, loop.time()):
        recorder.layer_limits.add(1, PROCESS)
        return None
    got = await _answered(driver, shard, link, script, keys, arguments)
    if isinstance(got, ErrorAnswer):
        reason = f"refuses: {readable(got.text)}" if got.code else got.text
        if not got.code or is_of_the_shard(got.code, got.text):
            limits.leave_alone(shard, loop.time(), reason)
        else:
            limits.say(shard, loop.time(), reason)
        recorder.layer_limits.add(1, PROCESS)
        return None
    limits.has_answered(shard)
    recorder.layer_limits.add(1, SHARD)
    return got


async def _answered(
    driver: Driver, shard: str, link: Link | None, script: str, keys: tuple[str, ...], arguments: Say
) -> Any:
    """Return what a shard has answered within the time that it has."""
    answer: asyncio.Future[Any] = driver.loop.create_future()
    try:
        if link is None:
            async with asyncio.timeout(driver.state.shared_limits.connect_seconds(shard)):
                link = await driver.links.opened(shard)
    except TimeoutError:
        return ErrorAnswer("", "cannot be reached")
    # Everybody's questions of one turn of the loop leave in one write.
    link.call(script, keys, arguments(), lambda got: None if answer.done() else answer.set_result(got))
    await asyncio.wait((answer,), timeout=ANSWER_SECONDS)
    if not answer.done():
        await asyncio.sleep(0)  # a loop that was held up has its answers still unread
    return answer.result() if answer.done() else ErrorAnswer("", "does not answer")
