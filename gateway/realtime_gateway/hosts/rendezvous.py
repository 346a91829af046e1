"""Weighted rendezvous hashing: the consistent hash that says which shard owns a key.

Every shard draws a score for the key; the highest score owns it. Adding a shard therefore moves only the keys that the
new shard wins (1/(N+1) of them with equal weights), and removing one moves only what it owned. Scores depend on shard
*names*, so a new address or a failover moves nothing.

Source: Thaler and Ravishankar, "A name-based mapping scheme for rendezvous" (1996); the weighted form, score =
weight / -ln(u), is Schindelhauer and Schomaker, "Weighted distributed hash tables" (2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Protocol, TypeVar

import xxhash


class Weighted(Protocol):
    """What takes part in the draw."""

    @property
    def name(self) -> str:
        """What the draw is made with; no two in a list share it."""

    @property
    def weight(self) -> float:
        """Its share of the keys, relative to the others; above 0."""


S = TypeVar("S", bound=Weighted)

# The hash's 64 bits, shifted to the middle of their step so that u is never 0 or 1.
_STEPS = float(2**64)


def owner(key: str, shards: Sequence[S]) -> S:
    """Return the shard that owns ``key``.

    Args:
        key: the name of a group, channel or inbox, without any prefix of the deployment.
        shards: at least one, with distinct names; their order does not matter.

    Raises:
        ValueError: there is no shard.
    """
    if not shards:
        raise ValueError("a key needs at least one shard to be owned by")
    if len(shards) == 1:
        return shards[0]
    # Equal scores (2^-64 a pair) are broken by name, so that every process agrees whatever its list's order.
    return max(shards, key=lambda shard: (_score(key, shard), shard.name))


def moved_share(before: Sequence[Weighted], after: Sequence[Weighted], samples: int = 20_000) -> float:
    """Return the share of keys, from 0 to 1, that have another owner in the second list; measured on ``samples``."""
    keys = [f"sample-{number}" for number in range(samples)]
    return sum(owner(key, before).name != owner(key, after).name for key in keys) / samples


def _score(key: str, shard: Weighted) -> float:
    # The separator cannot occur in a shard's name, so (name, key) pairs never run into one another.
    digest = xxhash.xxh3_64_intdigest(f"{shard.name}\n{key}".encode())
    return shard.weight / -log((digest + 0.5) / _STEPS)
