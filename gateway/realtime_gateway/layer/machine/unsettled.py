"""Follows for which something is still to be done, and how many of each shard are not live.

To look at 10,000 live groups takes 11 ms: too much for every tick, and far too much for each of 10,000 groups that go
live after a reconnect. So the shards' numbers are kept, and nothing is looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from realtime_gateway.layer.machine.follow import Follow


class Unsettled:
    """Follows that are not live, and live ones with earlier owners that have to be looked after."""

    def __init__(self) -> None:
        self._follows: dict[str, Follow] = {}
        self._awaited_on: dict[str, str] = {}  # destination that is not live → the shard that it is counted on
        self._awaited: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Follow]:
        """Those of this moment: they may change on the way."""
        return iter(list(self._follows.values()))

    @property
    def awaited(self) -> int:
        """How many are not live."""
        return len(self._awaited_on)

    def awaited_on(self, shard: str) -> bool:
        """Whether anything on a shard is not live."""
        return shard in self._awaited

    def not_live(self, follow: Follow) -> None:
        """A follow is not live (any more), or has another owner."""
        self._arrive(follow)
        self._follows[follow.destination] = follow
        self._awaited_on[follow.destination] = follow.shard
        self._awaited[follow.shard] += 1

    def live(self, follow: Follow) -> None:
        """A follow has become live; it stays until it is let go."""
        self._arrive(follow)

    def remove(self, follow: Follow) -> None:
        """Nothing is to be done for a follow, or nobody follows it any more."""
        self._arrive(follow)
        self._follows.pop(follow.destination, None)

    def _arrive(self, follow: Follow) -> None:
        shard = self._awaited_on.pop(follow.destination, None)
        if shard is not None:
            self._awaited[shard] -= 1
            if not self._awaited[shard]:
                del self._awaited[shard]
