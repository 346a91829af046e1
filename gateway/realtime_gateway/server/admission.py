"""Pure. Who may begin a handshake now: how many there are, how many from one address, how many a second.

Connections of one client are counted by its address; an IPv6 host has a whole /64 to choose addresses from, so those
are counted together. The rate is a token bucket that holds one second's worth.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from realtime_gateway import endings

# The lowest 64 bits of an IPv6 address are the host's own to choose.
_HOST_BITS = 64


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
        self._tokens = float(limits.handshakes_per_second)
        self._tokens_at: float | None = None

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
        return None if self._take_token(now) else _TOO_FAST

    def _count_of(self, address: str | None) -> int:
        return 0 if address is None else self._by_address.get(counted_as(address), 0)

    def _take_token(self, now: float) -> bool:
        rate = self._limits.handshakes_per_second
        if not rate:
            return True
        if self._tokens_at is not None:
            self._tokens = min(self._tokens + (now - self._tokens_at) * rate, float(rate))
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

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


def counted_as(address: str) -> str:
    """Return what an address is counted under: itself, or the /64 of an IPv6 address; words stand for themselves."""
    if ":" not in address:
        return address
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return f"{IPv6Address(int(known) >> _HOST_BITS << _HOST_BITS)}/64"
