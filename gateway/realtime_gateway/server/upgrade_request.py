"""Pure. The request that nearly every WebSocket begins with, read in one pass over bytes that hold all of its head.

It knows one form of it, and no mistakes: what is odd in any way is no answer here, and the HTTP channel, which has the
limits, the errors and their words, reads the same bytes from their start. So this may be narrower than RFC 9112, never
wider than the channel: a proxy before us, the channel and this agree on what a request is and where it ends.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from realtime_gateway.server import handshake
from realtime_gateway.server.common_headers import COMMON_HEADERS

_TOKEN = rb"[!#$%&'*+.^`|~0-9A-Za-z-]"  # RFC 9110 section 5.6.2, without the underscore (CVE-2015-0219)
_VALUE = rb"[\t -~\x80-\x84\x86-\xff]"  # 0x85, which some take for the end of a line, is refused by the channel
# A byte begins and ends each part in one way only, so the time it takes grows with the head and no faster.
_FIRST = re.compile(rb"GET (/[!-~]*) HTTP/1\.1")
_LINE = re.compile(_TOKEN + rb"{1,256}:" + _VALUE + rb"*")

# Fewer than the channel takes; browsers send some fifteen, and proxies add ten.
MOST_HEADERS = 100
# They announce a body, or change what else the request means.
_NEVER = frozenset({b"content-length", b"transfer-encoding", b"expect", b"daphne-root-path"})


class UpgradeRequest(NamedTuple):
    """A whole request that may become a WebSocket.

    Attributes:
        path: ASCII, as sent, without the query.
        query_string: without the question mark.
        headers: names in lower case, none twice; lines that many clients send are kept once.
        upgrade: what it asks for.
        size_bytes: how much of what was received it takes; frames may follow.
    """

    path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    upgrade: handshake.Upgrade
    size_bytes: int


def read(data: bytes, most_bytes: int) -> UpgradeRequest | None:
    """Read what a connection begins with; None where it is anything but a request of the ordinary form.

    Args:
        data: from the first byte on.
        most_bytes: of a head.
    """
    end = data.find(b"\r\n\r\n", 0, most_bytes)
    if end < 0:
        return None
    first, *lines = data[:end].split(b"\r\n")
    asked, headers = _FIRST.fullmatch(first), _headers(lines)
    if asked is None or headers is None:
        return None
    by_name = dict(headers)
    is_for_websocket = by_name.get(b"upgrade", b"").lower() == b"websocket"
    if len(by_name) != len(headers) or not is_for_websocket or not _NEVER.isdisjoint(by_name):
        return None
    upgrade = handshake.ordinary(by_name) or handshake.examine(b"GET", "1.1", headers)
    if isinstance(upgrade, handshake.Refusal):
        return None
    path, _, query_string = asked[1].partition(b"?")
    return UpgradeRequest(path, query_string, headers, upgrade, end + 4)


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]] | None:
    if not 0 < len(lines) <= MOST_HEADERS:
        return None
    known, headers = COMMON_HEADERS.known, []
    for line in lines:
        header = known.get(line)  # by which it has been looked at before
        if header is None:
            if _LINE.fullmatch(line) is None:
                return None
            header = COMMON_HEADERS.read(line)
        headers.append(header)
    return headers
