"""The numbers that Redis, Sentinel and the operator must agree on, in one place."""

from __future__ import annotations

# How long a primary must be silent before a Sentinel calls it down.
DOWN_AFTER_SECONDS = 2
# How long one failover may take; twice this from its begin Sentinel tries again. As long (ten seconds at most) it
# waits for votes, of which nobody gets enough where each Sentinel voted for itself: frequent when all of them miss a
# primary in the same moment. That must be over, and another failover asked for by the server that has come back, before
# senders give up (`send_timeout`, 10 s). On a machine with fifteen times too much to do, promoting takes two seconds.
FAILOVER_TIMEOUT_SECONDS = 5
# How long the operator leaves a shard to Sentinels whose failovers fail: some tries of theirs.
FAILOVERS_FAIL_SECONDS = 40
# How long Sentinel gets to set a stray replica or a stray Sentinel right by itself.
STRAY_SECONDS = 10
# How long a shard without any known primary waits for pods that are missing before it starts without them.
MISSING_PODS_SECONDS = 60

REDIS_PORT = 6379
SENTINEL_PORT = 26379


def quorum(sentinels: int) -> int:
    """How many Sentinels must agree: a majority."""
    return sentinels // 2 + 1
