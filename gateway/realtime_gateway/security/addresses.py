"""Pure. What a client's address is counted under: an IPv6 host has a whole /64 to choose addresses from."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

# The lowest 64 bits of an IPv6 address are the host's own to choose.
_HOST_BITS = 64


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
