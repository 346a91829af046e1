"""The numbers that Redis, Sentinel and the operator must agree on, in one place."""

from __future__ import annotations

# How long a primary must be silent before a Sentinel calls it down.
DOWN_AFTER_SECONDS = 2
# How long one failover may take before another may begin; Sentinel waits twice this after a failed one.
FAILOVER_TIMEOUT_SECONDS = 20
# How long Sentinel gets to set a stray replica or a stray Sentinel right by itself.
STRAY_SECONDS = 10
# How long a shard without any known primary waits for pods that are missing before it starts without them.
MISSING_PODS_SECONDS = 60

REDIS_PORT = 6379
SENTINEL_PORT = 26379


def quorum(sentinels: int) -> int:
    """How many Sentinels must agree: a majority."""
    return sentinels // 2 + 1
