"""How long ago an entry was stored, by the clocks of servers that may differ."""

from __future__ import annotations

from math import inf

from realtime_gateway.layer.machine.follow import Server

# A shard's entries may have been stored by any of its last servers.
_SERVERS_KEPT = 4
# An answer that was on its way for no longer than this is as good as any.
_EXACT_SECONDS = 0.1
# How far an entry's age may be over-estimated: stream ids carry the time at which the server's loop turned.
AGE_ERROR_SECONDS = 0.1


class Clocks:
    """What each shard's last servers' clocks show at our time 0, in milliseconds."""

    def __init__(self) -> None:
        self._offsets: dict[str, dict[Server, tuple[float, float]]] = {}  # with the error in seconds

    def note(self, shard: str, server: Server, server_ms: int, now: float, error_seconds: float = inf) -> None:
        """A server has told its time.

        Args:
            shard: the shard.
            server: the server.
            server_ms: its time.
            now: when it was heard.
            error_seconds: how long the question and the answer were on their way. One that was late says less than
                the one before it: whatever else comes at that moment has been on its way for as long.
        """
        offsets = self._offsets.setdefault(shard, {})
        kept = offsets.pop(server, None)
        if kept is None or error_seconds <= max(2 * kept[1], _EXACT_SECONDS):
            kept = (server_ms - now * 1000, error_seconds)
        offsets[server] = kept
        if len(offsets) > _SERVERS_KEPT:
            del offsets[next(iter(offsets))]

    def seconds_since(self, shard: str, stored_ms: int, now: float) -> float:
        """How long ago an entry was stored, at least.

        Whose clock its id comes from is not known after a failover. An entry that is taken for too old is lost to
        those who joined before it; one taken for too young reaches somebody who joined right after it.
        """
        offsets = self._offsets.get(shard)
        if not offsets:
            return 0.0
        least = min(offsets.values())[0]  # by the offset; mostly there is one server
        age_ms = now * 1000 + least - stored_ms
        return age_ms / 1000 if age_ms > 0 else 0.0

    def since_stored(self, shard: str, server: Server, stored_ms: int, now: float) -> float:
        """How long ago this very server stored an entry, as well as can be told: for figures, not for decisions."""
        kept = self._offsets.get(shard, {}).get(server)
        if kept is None:
            return 0.0
        seconds = now + midway(kept) - stored_ms / 1000
        return seconds if seconds > 0 else 0.0

    def estimate(self, shard: str, server: Server) -> tuple[float, float] | None:
        """What a server's clock shows at our time 0, in seconds, and by how much that may be wrong."""
        kept = self._offsets.get(shard, {}).get(server)
        if kept is None or kept[1] == inf:
            return None
        return midway(kept), kept[1] / 2


def midway(told: tuple[float, float]) -> float:
    """A clock's offset in seconds: it was read half-way between the question and its answer, as well as is known.

    Args:
        told: the offset in milliseconds, as if it had been read when the answer came, and the round trip in seconds.
    """
    offset_ms, round_trip_seconds = told
    return offset_ms / 1000 + (0.0 if round_trip_seconds == inf else round_trip_seconds / 2)
