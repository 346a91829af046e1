"""Clearing everything of a deployment on all shards: the one thing that is done with plain commands."""

from __future__ import annotations

import asyncio
from typing import Any

from realtime_gateway.errors import ShardRefused, ShardUnavailable
from realtime_gateway.layer import names
from realtime_gateway.layer.driver import Driver
from realtime_gateway.layer.refusals import readable, remedy_for
from realtime_gateway.layer.shards.link import ErrorAnswer

_KEYS_PER_STEP = 1000


async def flush(driver: Driver) -> None:
    """Clear all messages and members, here, on every shard and in every process that listens to one.

    Raises:
        ShardUnavailable: a shard could not be reached in time.
        ShardRefused: it answered with an error.
    """
    state = driver.state
    message = state.new_flush()
    hosts = state.machine.epochs.shards_in_use()
    await asyncio.gather(*(_clear(driver, shard.name, message) for shard in hosts.shards))
    state.clear(driver.submit)


async def _clear(driver: Driver, shard: str, message: bytes) -> None:
    """Tell all processes to forget, and delete every key of this prefix but the shard's own book-keeping."""
    identity = driver.state.identity
    await _command(driver, shard, ("PUBLISH", identity.topic(shard, names.CONTROL), message))
    cursor, pattern = b"0", identity.names.every_key_pattern()
    while True:
        cursor, found = await _command(driver, shard, ("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_PER_STEP))
        keys = [key for key in found if identity.names.is_flushed(key.decode(errors="replace"))]
        if keys:
            await _command(driver, shard, ("UNLINK", *keys))
        if cursor == b"0":
            return


async def _command(driver: Driver, shard: str, parts: tuple[str | bytes | int, ...]) -> Any:
    limit_seconds = driver.state.options.send_timeout
    answer: asyncio.Future[Any] = driver.loop.create_future()
    try:
        async with asyncio.timeout(limit_seconds):
            link = await driver.links.opened(shard)
            link.command(parts, lambda result: None if answer.done() else answer.set_result(result))
            result = await answer
    except TimeoutError as error:
        raise ShardUnavailable(
            shard, f"The Redis shard {shard!r} did not answer {parts[0]!r} within {limit_seconds:g} s."
        ) from error
    if isinstance(result, ErrorAnswer):
        words = readable(result.text)
        raise ShardRefused(shard, f"The Redis shard {shard!r} refused {parts[0]!r}: {words}.", remedy_for(words))
    return result
