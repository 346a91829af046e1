"""What servers and Sentinels are told, and the planned switchover, which loses nothing.

A bare SENTINEL FAILOVER of a live primary loses acknowledged writes, since the old one stays a primary for seconds.
So: pause writes on the primary, wait until a replica has them all, let Sentinel fail over, and make the old primary a
replica before anyone can write to it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from realtime_gateway.errors import GatewayError
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.plan import Follow, Forget, Monitor, Promote, SwitchOver
from realtime_operator.sentinel_terms import DOWN_AFTER_SECONDS, FAILOVER_TIMEOUT_SECONDS
from realtime_operator.snapshot import Address, Monitored, Server, Unknown

# A pause ends by itself after this, whatever becomes of the operator. It outlasts SWITCH_SECONDS and one more question
# to each of three Sentinels.
PAUSE_MS = 28_000
SWITCH_SECONDS = 20.0
# How a server or Sentinel that refuses, or does not answer, shows.
FAILURES = (RedisError, OSError, TimeoutError)
EQUAL_SECONDS = 1.0
POLL_SECONDS = 0.02


class SwitchoverFailed(GatewayError):
    """The primary stays where it is, and why."""


async def promote(servers: RedisServers, action: Promote) -> None:
    """Make a server a primary."""
    await servers.tell(action.server, "REPLICAOF", "NO", "ONE")


async def follow(servers: RedisServers, action: Follow) -> None:
    """Make a server follow another."""
    await servers.tell(action.server, "REPLICAOF", action.primary.host, action.primary.port)


async def monitor(servers: RedisServers, action: Monitor, password: str) -> None:
    """Make a Sentinel monitor a primary, with the account that it uses on servers."""
    if action.anew:
        await servers.tell(action.sentinel, "SENTINEL", "REMOVE", action.master_name)
    where = (action.primary.host, action.primary.port)
    await servers.tell(action.sentinel, "SENTINEL", "MONITOR", action.master_name, *where, action.quorum)
    settings: dict[str, str | int] = {
        "auth-user": "sentinel",
        "auth-pass": password,
        "down-after-milliseconds": 1000 * DOWN_AFTER_SECONDS,
        "failover-timeout": 1000 * FAILOVER_TIMEOUT_SECONDS,
        "parallel-syncs": 5,
    }
    for name, value in settings.items():
        await servers.tell(action.sentinel, "SENTINEL", "SET", action.master_name, name, value)


async def forget(servers: RedisServers, action: Forget) -> None:
    """Make a Sentinel forget a shard."""
    await servers.tell(action.sentinel, "SENTINEL", "REMOVE", action.master_name)


async def switch_over(servers: RedisServers, action: SwitchOver) -> Address:
    """Move a primary and return where it is then.

    Raises:
        SwitchoverFailed: it stays where it is.
    """
    await servers.tell(action.primary, "CLIENT", "PAUSE", PAUSE_MS, "WRITE")
    try:
        await _replica_in_step(servers, action)
        await _fail_over(servers, action.sentinels, action.master_name)
        new = await _named_anew(servers, action)
    except BaseException:
        await _unpause(servers, action.primary)
        raise
    await _demote(servers, action.primary, new)
    return new


async def _replica_in_step(servers: RedisServers, action: SwitchOver) -> None:
    async def equal() -> bool:
        seen = await servers.server(action.primary)
        return isinstance(seen, Server) and any(replica.offset >= seen.offset for replica in seen.attached)

    if not await _within(EQUAL_SECONDS, equal):
        raise SwitchoverFailed(f"No replica of {action.shard} came in step within {EQUAL_SECONDS:g} s.")


async def _fail_over(servers: RedisServers, sentinels: Sequence[Address], master_name: str) -> None:
    refusals = []
    for sentinel in sentinels:
        try:
            await servers.tell(sentinel, "SENTINEL", "FAILOVER", master_name)
            return
        except ResponseError as error:
            refusals.append(f"{sentinel}: {error}")
            if "INPROG" in str(error):
                return
        except (RedisError, OSError) as error:
            refusals.append(f"{sentinel}: {str(error) or type(error).__name__}")
    raise SwitchoverFailed(f"No Sentinel begins a failover of {master_name}: {'; '.join(refusals)}.")


async def _named_anew(servers: RedisServers, action: SwitchOver) -> Address:
    """Where the primary is as soon as a Sentinel names another one."""
    found: list[Address] = []

    async def moved() -> bool:
        for sentinel in action.sentinels:
            answers = await servers.sentinel(sentinel)
            named = None if isinstance(answers, Unknown) else answers.get(action.master_name)
            if isinstance(named, Monitored) and named.primary != action.primary:
                found.append(named.primary)
                return True
        return False

    if not await _within(SWITCH_SECONDS, moved):
        raise SwitchoverFailed(f"Sentinel did not switch {action.shard} within {SWITCH_SECONDS:g} s.")
    return found[0]


async def _demote(servers: RedisServers, old: Address, new: Address) -> None:
    """Make the old primary a replica and let its clients go, in one step, before it takes writes again."""
    async with servers.client(old).pipeline(transaction=True) as pipe:
        queue: Any = pipe.execute_command
        queue("REPLICAOF", new.host, new.port)
        queue("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        queue("CLIENT", "UNPAUSE")
        await pipe.execute()
    await servers.tell(old, "CLIENT", "KILL", "TYPE", "pubsub")


async def _unpause(servers: RedisServers, address: Address) -> None:
    try:
        await servers.tell(address, "CLIENT", "UNPAUSE")
    except (RedisError, OSError):
        return  # the pause ends by itself


async def _within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> bool:
    """Ask until it holds, or the time is over; each question has a limit of its own.

    The time is looked at and not enforced by cancelling: a cancellation that arrives just as an answer does can get
    lost in the client library, and this would go on for ever.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not await condition():
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True
