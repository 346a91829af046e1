"""The end of a link in order: what was sent leaves, and is on a replica, before the process goes.

Only this process could send it again after a failover, or put back what it has taken for workers that have gone.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from realtime_gateway.layer.machine.lane import Lane
from realtime_gateway.layer.machine.queues import Queues
from realtime_gateway.layer.shards.link import Link

log = logging.getLogger("realtime_gateway.layer")

_LANE_SECONDS = 2.0
_REPLICA_SECONDS = 1.0


async def take_leave(lane: Lane, queues: Queues, link: Link) -> None:
    """Wait until a shard has answered what it was sent, and a replica has it: for two seconds and for one.

    Args:
        lane: what goes to the shard; goes on being served meanwhile.
        queues: what is taken there and put back.
        link: open, to its primary.
    """
    await _empty(lane, queues, link)
    if not lane.retained or not await _has_replicas(link):
        return
    copies = await _ask(link, ("WAIT", 1, int(_REPLICA_SECONDS * 1000)), 2 * _REPLICA_SECONDS)
    if copies == 0:
        log.warning(
            "shard %s: no replica has what was sent last, and nobody would send it again after a failover", lane.shard
        )
    await _empty(lane, queues, link)  # of what has come meanwhile


async def _empty(lane: Lane, queues: Queues, link: Link) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + _LANE_SECONDS
    # Answers come in order, so each PING comes back after a batch or a look into a queue, and by then what follows from
    # it is on its way.
    while (lane.in_flight is not None or queues.under_way(lane.shard)) and loop.time() < end:
        await _ask(link, ("PING",), end - loop.time())


async def _has_replicas(link: Link) -> bool:
    # Without, WAIT would take all of its time and say nothing.
    answer = await _ask(link, ("INFO", "replication"), _REPLICA_SECONDS)
    return isinstance(answer, bytes) and b"\nconnected_slaves:0" not in answer


async def _ask(link: Link, command: tuple[str | int, ...], seconds: float) -> Any:
    """Return the answer; None when there is none in time."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    link.command(command, lambda result: None if answer.done() else answer.set_result(result))
    await asyncio.wait((answer,), timeout=seconds)
    return answer.result() if answer.done() else None
