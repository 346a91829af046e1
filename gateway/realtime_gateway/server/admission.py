"""Pure. Who may begin a handshake now: how many there are, how many from one address, how many a second.

These limits are one process's, before anybody's application is asked; ``security.limiting`` has those over all pods.
Connections of one client are counted by its address; the rate is a token bucket that holds one second's worth.
"""

from __future__ import annotations

from dataclasses import dataclass

from realtime_gateway import endings
from realtime_gateway.security.addresses import counted_as
from realtime_gateway.security.token_bucket import TokenBucket


@dataclass(frozen=True)
class Limits:
    """What a process admits; 0 is no limit.

    Attributes:
        connections: WebSockets at the same time.
        connections_per_address: those of one client address.
        handshakes_per_second: handshakes that are begun.
    """

    connections: int = 0
    connections_per_address: int = 0
    handshakes_per_second: int = 0


@dataclass(frozen=True)
class Refused:
    """Why a handshake is refused.

    Attributes:
        ending: what the client is told.
        limit: the setting that was met, by its name in a resource.
        retry_after_seconds: when to try again.
    """

    ending: endings.Ending
    limit: str
    retry_after_seconds: int = 1


DRAINING = Refused(endings.RESTARTING, "")
_FULL = Refused(endings.OVERLOADED, "websocket.maxConnections")
_FULL_OF_ADDRESS = Refused(endings.TOO_MANY_OF_ADDRESS, "websocket.maxConnectionsPerIP", 10)
_TOO_FAST = Refused(endings.TOO_MANY_HANDSHAKES, "websocket.handshakeRate")


class Admission:
    """Counts connections and says who has to stay outside."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._count = 0
        self._by_address: dict[str, int] = {}
        rate = limits.handshakes_per_second
        self._handshakes = TokenBucket(rate, rate) if rate else None

    def ask(self, address: str | None, now: float) -> Refused | None:
        """Say why one more connection may not come in, or None; takes a token when it may.

        Args:
            address: the client's, or None where it has none (a Unix socket), which is never counted by address.
            now: in seconds, of a clock that does not go back.
        """
        limits = self._limits
        if 0 < limits.connections <= self._count:
            return _FULL
        if 0 < limits.connections_per_address <= self._count_of(address):
            return _FULL_OF_ADDRESS
        if self._handshakes is not None and not self._handshakes.take(1, now):
            return _TOO_FAST
        return None

    def _count_of(self, address: str | None) -> int:
        return 0 if address is None else self._by_address.get(counted_as(address), 0)

    def arrived(self, address: str | None) -> None:
        """Count a connection that was let in."""
        self._count += 1
        if self._limits.connections_per_address and address is not None:
            key = counted_as(address)
            self._by_address[key] = self._by_address.get(key, 0) + 1

    def gone(self, address: str | None) -> None:
        """Count one that has ended; call it once for each that has arrived."""
        self._count -= 1
        if self._limits.connections_per_address and address is not None:
            key = counted_as(address)
            left = self._by_address[key] - 1
            if left:
                self._by_address[key] = left
            else:
                del self._by_address[key]
