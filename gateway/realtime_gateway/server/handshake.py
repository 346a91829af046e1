"""Pure. The opening handshake (RFC 6455 section 4.2): may this request become a WebSocket, and what is answered.

The request has been parsed once already, by Twisted; nothing here parses it again.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha1
from http import HTTPStatus
from typing import NamedTuple

# RFC 6455, and the last draft before it, which has the same frames.
VERSIONS = (13, 8)
_VERSIONS_HEADER = (b"sec-websocket-version", b", ".join(str(version).encode() for version in VERSIONS))

_ASKED = frozenset(
    {
        *(b"host", b"connection", b"sec-websocket-version"),
        *(b"sec-websocket-key", b"sec-websocket-protocol", b"sec-websocket-extensions"),
    }
)

_UPGRADE = (b"Upgrade", b"upgrade", b"keep-alive, Upgrade")  # as browsers, proxies and libraries write it

_KEY_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

Headers = Sequence[tuple[bytes, bytes]]


class Upgrade(NamedTuple):
    """A request that may become a WebSocket.

    Attributes:
        key: Sec-WebSocket-Key as sent.
        version: one of VERSIONS.
        subprotocols: offered by the client, in its order.
        extensions: the values of its Sec-WebSocket-Extensions headers.
    """

    key: str
    version: int
    subprotocols: tuple[str, ...]
    extensions: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """A request that cannot become a WebSocket."""

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def examine(method: bytes, http_version: str, headers: Headers) -> Upgrade | Refusal:
    """Check a request whose Upgrade header names websocket; header names are in lower case."""
    if method != b"GET":
        return Refusal(405, "A WebSocket handshake is a GET request.", ((b"allow", b"GET"),))
    if http_version != "1.1":
        return Refusal(505, "A WebSocket handshake needs HTTP/1.1.")
    return _with_handshake_headers(headers)


def _with_handshake_headers(headers: Headers) -> Upgrade | Refusal:
    asked: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _ASKED:
            asked.setdefault(name, []).append(value.strip())
    keys, versions = asked.get(b"sec-websocket-key", []), asked.get(b"sec-websocket-version")
    if len(asked.get(b"host", [])) != 1:
        return Refusal(400, "The request needs one Host header.")
    if b"upgrade" not in words(asked.get(b"connection", [])):
        return Refusal(400, "The Connection header does not say Upgrade.")
    if versions not in ([b"13"], [b"8"]):
        return Refusal(426, "This WebSocket version is not spoken here.", (_VERSIONS_HEADER,))
    if len(keys) != 1 or not is_key(keys[0]):
        return Refusal(400, "The request needs one Sec-WebSocket-Key of 16 bytes in base64.")
    return _with_offers(keys[0].decode("ascii"), int(versions[0]), asked)


def _with_offers(key: str, version: int, asked: dict[bytes, list[bytes]]) -> Upgrade | Refusal:
    try:
        offered = [value.decode("ascii") for value in asked.get(b"sec-websocket-protocol", [])]
    except UnicodeDecodeError:
        return Refusal(400, "A Sec-WebSocket header is not ASCII.")
    subprotocols = [name.strip() for value in offered for name in value.split(",") if name.strip()]
    if len(set(subprotocols)) != len(subprotocols):
        return Refusal(400, "A subprotocol is offered twice.")
    return Upgrade(key, version, tuple(subprotocols), tuple(asked.get(b"sec-websocket-extensions", [])))


def ordinary(asked: Mapping[bytes, bytes]) -> Upgrade | None:
    """Return what ``examine`` does for the headers that nearly every client sends; None: ask that.

    Args:
        asked: all headers, of which none came twice, without white space around their values.
    """
    key = asked.get(b"sec-websocket-key", b"")
    if (
        asked.get(b"connection") not in _UPGRADE
        or asked.get(b"sec-websocket-version") != b"13"
        or b"sec-websocket-protocol" in asked
        or b"host" not in asked
        or not is_key(key)
    ):
        return None
    extensions = asked.get(b"sec-websocket-extensions")
    return Upgrade(key.decode("ascii"), 13, (), () if extensions is None else (extensions,))


def wants_websocket(upgrade_values: Iterable[bytes] | None) -> bool:
    """Say whether an Upgrade header, as a list of its values, names websocket."""
    return b"websocket" in words(upgrade_values or ())


def values(headers: Headers, name: bytes) -> list[bytes]:
    """Return every value of a header."""
    return [value.strip() for header, value in headers if header == name]


def words(listed: Iterable[bytes]) -> set[bytes]:
    """Return the comma-separated words of a header, as a list of its values, in lower case."""
    return {word.strip().lower() for value in listed for word in value.split(b",")}


def is_key(key: bytes) -> bool:
    """Say whether this is 16 bytes in base64."""
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except Error:
        return False


def acceptance(key: str, subprotocol: str | None, headers: Headers, server_name: str) -> bytes:
    """Return the response that opens a WebSocket (RFC 6455 section 4.2.2), the headers byte for byte as given."""
    lines = [_acceptance_begins(server_name)]
    lines += [name + b": " + value + b"\r\n" for name, value in headers]
    if subprotocol is not None:
        lines.append(b"Sec-WebSocket-Protocol: " + subprotocol.encode("ascii") + b"\r\n")
    digest = sha1(key.encode("ascii") + _KEY_SUFFIX, usedforsecurity=False).digest()
    lines.append(b"Sec-WebSocket-Accept: %b\r\n\r\n" % b2a_base64(digest, newline=False))
    return b"".join(lines)


@lru_cache(maxsize=16)
def _acceptance_begins(server_name: str) -> bytes:
    server = b"Server: " + server_name.encode() + b"\r\n" if server_name else b""
    return b"HTTP/1.1 101 Switching Protocols\r\n" + server + b"Upgrade: WebSocket\r\nConnection: Upgrade\r\n"


def status_line(status: int) -> bytes:
    """Return the first line of an HTTP/1.1 response."""
    return b"HTTP/1.1 %d %s\r\n" % (status, phrase(status))


def phrase(status: int) -> bytes:
    """Return the words that belong to a status."""
    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b"Unknown"


def response_head(status: int, headers: Headers, server_name: str) -> bytes:
    """Return the head of a response that ends the connection."""
    lines = [status_line(status)]
    if server_name and not values(lower(headers), b"server"):
        lines.append(b"server: " + server_name.encode() + b"\r\n")
    lines += [name + b": " + value + b"\r\n" for name, value in headers if name.lower() != b"connection"]
    return b"".join([*lines, b"connection: close\r\n\r\n"])


def lower(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers with names in lower case."""
    return [(name.lower(), value) for name, value in headers]


def short_response(status: int, text: str, server_name: str, headers: Headers = ()) -> bytes:
    """Return a whole response with one line of text."""
    body = f"{text}\n".encode() if text else b""
    described = [*headers, (b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    return response_head(status, described, server_name) + body
