"""What a running process still lacks to be ready: the question that fits its kind, asked of the process itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime_gateway.local.admin_page import get
from realtime_gateway.local.plan import GatewayAnswers, Readiness, RedisAnswers, SentinelAgrees, WorkerReports
from realtime_gateway.local.redis_questions import Role, reporting_processes, role, sentinel_complaint

# An application may use another channel layer, which reports nothing: alive for this long is then all that is known.
SILENT_WORKER_SECONDS = 12.0


async def lacking(readiness: Readiness, pid: int, running_seconds: float, shard_urls: Sequence[str]) -> str | None:
    """Return what is missing, as the end of a sentence about the process; None when it is ready.

    Args:
        readiness: from the process's plan.
        pid: of the process.
        running_seconds: for how long it has been running.
        shard_urls: servers that may hold the heartbeats of channel layers.
    """
    match readiness:
        case RedisAnswers():
            return redis_complaint(readiness, await role(readiness.port))
        case SentinelAgrees():
            asked = (sentinel_complaint(readiness.port, shard, readiness.replicas) for shard in readiness.shards)
            return next((complaint for complaint in await asyncio.gather(*asked) if complaint), None)
        case GatewayAnswers():
            status, _ = await get(readiness.admin_port, "/readyz")
            return None if status == 200 else "does not answer /readyz" if status is None else "says it is not ready"
        case WorkerReports():
            if running_seconds > SILENT_WORKER_SECONDS:
                return None
            found = await asyncio.gather(*(reporting_processes(url, readiness.prefix) for url in shard_urls))
            reported = any((readiness.process, pid) in reports for reports in found)
            return None if reported else "has not reported to a shard"


def redis_complaint(readiness: RedisAnswers, present: Role | None) -> str | None:
    """Return what a Redis server in this role lacks; after a failover either role will do."""
    if present is None:
        return "does not answer"
    if present.is_primary and (readiness.primary_port is None or readiness.shard):
        return None
    return None if present.linked else "has not got its data from the primary"
