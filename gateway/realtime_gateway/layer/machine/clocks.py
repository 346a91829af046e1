"""How long ago an entry was stored, by the clocks of servers that may differ."""

from __future__ import annotations

from realtime_gateway.layer.machine.follow import Server

# A shard's entries may have been stored by any of its last servers.
_SERVERS_KEPT = 4


class Clocks:
    """What each shard's last servers' clocks show at our time 0, in milliseconds."""

    def __init__(self) -> None:
        self._offsets: dict[str, dict[Server, float]] = {}

    def note(self, shard: str, server: Server, server_ms: int, now: float) -> None:
        """A server has told its time."""
        offsets = self._offsets.setdefault(shard, {})
        offsets.pop(server, None)
        offsets[server] = server_ms - now * 1000
        if len(offsets) > _SERVERS_KEPT:
            del offsets[next(iter(offsets))]

    def seconds_since(self, shard: str, stored_ms: int, now: float) -> float:
        """How long ago an entry was stored, at least.

        Whose clock its id comes from is not known after a failover. An entry that is taken for too old is lost to
        those who joined before it; one taken for too young reaches somebody who joined right after it.
        """
        ages = [now * 1000 + offset - stored_ms for offset in self._offsets.get(shard, {}).values()]
        return max(0.0, min(ages, default=0.0)) / 1000
