"""Pure. Who the client is, when proxies that we trust stand before us, and whoever we do not trust says what it likes.

    client ──▶ proxy A ──▶ proxy B ──▶ us        X-Forwarded-For: (whatever the client sent), client, A

Each proxy appends the address that it was reached from. So the list is read from the right: as long as the one who
speaks is trusted, the address that it reports is believed. The first that is not trusted is the client, and everything
to its left is the client's own word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from realtime_gateway.errors import ConfigurationError

Network = IPv4Network | IPv6Network
SCHEMES = frozenset({"http", "https"})
# Of a chain of proxies; what is longer is somebody's attempt to keep us busy.
LONGEST_CHAIN = 64


@dataclass(frozen=True)
class Client:
    """Who is at the other end.

    Attributes:
        host: its address, or None where it has none (a Unix socket).
        port: 0 where a proxy does not say.
        scheme: what the client speaks to the first proxy that we trust, or to us.
    """

    host: str | None
    port: int
    scheme: str


class TrustedProxies:
    """The networks whose word is taken.

    Args:
        networks: addresses and networks such as ``10.0.0.0/8``.

    Raises:
        ConfigurationError: one of them is none.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        try:
            self._networks = tuple(ip_network(network, strict=False) for network in networks)
        except ValueError as error:
            raise ConfigurationError(
                f"A trusted proxy is no network: {error}.", "Write 10.0.0.0/8, 192.0.2.1 or fd00::/8."
            ) from error

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, host: str | None) -> bool:
        """Say whether this host's word is taken; with any proxy trusted, that of whoever reaches our Unix socket."""
        if host is None:
            return bool(self._networks)
        address = _plain(host)
        return address is not None and any(address in network for network in self._networks)

    def client(self, peer: Client, forwarded_for: Sequence[str], forwarded_proto: Sequence[str]) -> Client:
        """Say who the client is.

        Args:
            peer: who has connected to us, or is named by the PROXY protocol.
            forwarded_for: the values of X-Forwarded-For, in order.
            forwarded_proto: those of X-Forwarded-Proto.
        """
        if not self.trusts(peer.host):
            return peer
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        schemes = [scheme.strip().lower() for value in forwarded_proto for scheme in value.split(",")]
        host, port, index = peer.host, peer.port, len(hops)
        while index > max(0, len(hops) - LONGEST_CHAIN) and self.trusts(host):
            reported = _host_and_port(hops[index - 1])
            if reported is None:  # a word that is no address: the last one that we know stays the client
                break
            (host, port), index = reported, index - 1
        return Client(host, port, _scheme(schemes, index, len(hops)) or peer.scheme)


def _scheme(schemes: list[str], index: int, hops: int) -> str | None:
    """Return the scheme that belongs to the hop, or what the nearest proxy says where the lists do not match."""
    said = schemes[min(index, hops - 1)] if hops and len(schemes) == hops else schemes[-1] if schemes else ""
    return said if said in SCHEMES else None


def _host_and_port(word: str) -> tuple[str, int] | None:
    """Read ``192.0.2.1``, ``192.0.2.1:4711``, ``2001:db8::1``, ``[2001:db8::1]`` or ``[2001:db8::1]:4711``."""
    host, port = word, ""
    if word.startswith("["):
        host, _, rest = word[1:].partition("]")
        if rest and not rest.startswith(":"):
            return None
        port = rest[1:]
    elif word.count(":") == 1:
        host, _, port = word.partition(":")
    address = _plain(host)
    if address is None or not (port == "" or (port.isascii() and port.isdigit() and int(port[:6]) <= 65_535)):
        return None
    return str(address), int(port or 0)


def _plain(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
