"""Pure. Which shard owns how much of all keys, and what another list of shards would move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from realtime_gateway.hosts import Shard
from realtime_gateway.hosts.rendezvous import owner

SAMPLES = 2_000


def ring(before: Sequence[Shard], after: Sequence[Shard]) -> dict[str, Any]:
    """Return the shares of both lists, and of what goes from which shard to which; measured on sample keys.

    ``parts`` has (from, to, share) for every pair, by shard before and then after: in this order the ring is drawn.
    """
    keys = [f"sample-{number}" for number in range(SAMPLES)]
    pairs = Counter((owner(key, before).name, owner(key, after).name) for key in keys)
    parts = [{"from": one, "to": two, "share": count / SAMPLES} for (one, two), count in sorted(pairs.items())]
    return {
        "before": [shard.name for shard in before],
        "after": [shard.name for shard in after],
        "parts": parts,
        "moved": sum(part["share"] for part in parts if part["from"] != part["to"]),
    }
