"""As what a Redis server starts again after it has ended by itself.

A server keeps nothing on disk, so one that came back as an empty primary would make its replicas throw away what they
hold. It therefore asks the Sentinels first, as it would in a cluster, and starts as a primary only when there is nobody
left who could take over.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from realtime_gateway.local.plan import RedisAnswers
from realtime_gateway.local.redis_questions import holds_data, order_failover, primary_ports

ASK_AGAIN_SECONDS = 0.3
# Longer than a failover, which takes about two seconds once it has been ordered, and than one more attempt.
NOBODY_TAKES_OVER_SECONDS = 15.0


@dataclass(frozen=True)
class Siblings:
    """Who may know, or be, the shard's primary.

    Attributes:
        sentinel_ports: of all Sentinels of the run.
        server_ports: of the shard's other servers.
    """

    sentinel_ports: tuple[int, ...]
    server_ports: tuple[int, ...]


async def primary_to_follow(
    name: str, server: RedisAnswers, siblings: Siblings, say: Callable[[str], None]
) -> int | None:
    """Wait until it is known who is the shard's primary, and return its port; None to start as one, empty."""
    shard, port = server.shard, server.port
    began = time.monotonic()
    waiting_said = False
    while True:
        named = majority(await primary_ports(siblings.sentinel_ports, shard))
        if named is not None and named != port:
            return named
        late = time.monotonic() - began > NOBODY_TAKES_OVER_SECONDS
        if late or (named == port and not await _anyone_holds_data(siblings.server_ports)):
            say(f"{name} starts empty, since no server is left that could take over: what {shard} held is lost")
            return None
        if not waiting_said:
            say(f"{name} waits until a replica of {shard} has taken over")
            waiting_said = True
        if named == port:
            await order_failover(siblings.sentinel_ports[0], shard)
        await asyncio.sleep(ASK_AGAIN_SECONDS)


def majority(answers: Sequence[int | None]) -> int | None:
    """Return the port that more than half of the Sentinels name; None without one."""
    counted = Counter(answer for answer in answers if answer is not None)
    port, votes = counted.most_common(1)[0] if counted else (None, 0)
    return port if votes > len(answers) // 2 else None


async def _anyone_holds_data(ports: Sequence[int]) -> bool:
    return any(await asyncio.gather(*(holds_data(port) for port in ports)))
