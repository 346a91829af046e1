"""Pure. The PROXY protocol, versions 1 and 2: what a load balancer says of its client before the client's own bytes.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

V1_START = b"PROXY "
V1_LONGEST = 107  # section 2.1, with CR LF
V2_START = b"\r\n\r\n\0\r\nQUIT\n"
V2_HEAD = 16
# Section 2.2 allows 64 KiB of vendors' extras; nobody sends more than a few hundred bytes.
V2_LONGEST = 4096
_SSL, _CLIENT_SSL = 0x20, 0x01


class Malformed(ValueError):
    """It begins as a PROXY header and goes on as none."""


@dataclass(frozen=True)
class Header:
    """A whole header.

    Attributes:
        size_bytes: how many bytes it takes of what was received.
        host: the client's address; None: the balancer speaks for itself (a health check), or does not know.
        port: the client's.
        secure: whether the client speaks TLS to the balancer, where it says so.
    """

    size_bytes: int
    host: str | None = None
    port: int = 0
    secure: bool = False


def read(data: bytes) -> Header | None:
    """Read a header at the start of a connection; None: more bytes are needed.

    A connection that begins otherwise has none, which is a header of no bytes.

    Raises:
        Malformed: it is one, and wrong.
    """
    if data.startswith(V2_START[: len(data)]) and data:
        return _read_v2(data) if len(data) >= V2_HEAD else None
    if data.startswith(V1_START[: len(data)]) and data:
        return _read_v1(data)
    return Header(0) if data else None


def _read_v1(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, V1_LONGEST)
    if end < 0:
        if len(data) >= V1_LONGEST:
            raise Malformed("version 1: no end of line within 107 bytes")
        return None
    try:
        words = data[:end].decode("ascii").split(" ")
        if words[1:2] == ["UNKNOWN"]:
            return Header(end + 2)
        _, family, source, destination, source_port, destination_port = words
        kind = {"TCP4": IPv4Address, "TCP6": IPv6Address}[family]
        kind(destination)
        _port(destination_port)
        return Header(end + 2, str(kind(source)), _port(source_port))
    except (ValueError, KeyError) as error:
        raise Malformed(f"version 1: {error}") from error


def _port(word: str) -> int:
    if not (word.isascii() and word.isdigit() and int(word) <= 65_535):
        raise ValueError(f"no port: {word!r:.20}")
    return int(word)


def _read_v2(data: bytes) -> Header | None:
    kind, family, length = struct.unpack_from("!BBH", data, len(V2_START))
    if kind >> 4 != 2 or kind & 15 > 1:
        raise Malformed("version 2: neither LOCAL nor PROXY")
    if length > V2_LONGEST:
        raise Malformed(f"version 2: {length} bytes")
    size = V2_HEAD + length
    if len(data) < size:
        return None
    body = data[V2_HEAD:size]
    if kind & 15 == 0 or family not in (0x11, 0x21):  # LOCAL, UNSPEC, datagrams and Unix sockets
        return Header(size)
    address_bytes = 4 if family == 0x11 else 16
    extras = 2 * address_bytes + 4
    if length < extras:
        raise Malformed("version 2: too short for its addresses")
    host = str(IPv4Address(body[:4]) if address_bytes == 4 else IPv6Address(body[:16]))
    (port,) = struct.unpack_from("!H", body, 2 * address_bytes)
    return Header(size, host, port, _is_secure(body[extras:]))


def _is_secure(extras: bytes) -> bool:
    """Look for the extra that says that the client speaks TLS (section 2.2.6); what is cut short is read over."""
    while len(extras) >= 3:
        kind, length = struct.unpack_from("!BH", extras)
        value, extras = extras[3 : 3 + length], extras[3 + length :]
        if kind == _SSL and value:
            return bool(value[0] & _CLIENT_SSL)
    return False
