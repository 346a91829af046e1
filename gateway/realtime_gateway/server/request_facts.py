"""Pure. What a request says, in ASGI's forms: the two kinds of scope (asgi.readthedocs.io/en/latest/specs/www.html)."""

from __future__ import annotations

from sys import intern
from typing import Any, NamedTuple
from urllib.parse import unquote

from realtime_gateway.server.common_headers import COMMON_HEADERS


class RequestFacts(NamedTuple):
    """What a request says, in ASGI's forms; shared by both kinds of scope.

    Attributes:
        raw_path: ASCII, as sent, without the query.
        headers: names in lower case, without those that hold an underscore (CVE-2015-0219); of a WebSocket, whose
            scope lives as long as it does, with the lines that many clients send kept once.
        client: [host, port], or None on a Unix socket.
        scheme: http or https, as the client sees it.
    """

    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    root_path: str
    scheme: str
    client: list[Any] | None
    server: list[Any] | None

    def of_websocket(self) -> RequestFacts:
        """Return the same, for a WebSocket."""
        return self._replace(headers=COMMON_HEADERS.shared(self.headers))


def websocket_scope(
    facts: RequestFacts, subprotocols: tuple[str, ...], extensions: dict[str, Any], state: dict[str, Any]
) -> dict[str, Any]:
    """Return the scope of a handshake.

    Args:
        facts: its request's.
        subprotocols: those that the client offers.
        extensions: of ASGI, by name.
        state: the application's, under its key, or nothing.
    """
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "wss" if facts.scheme == "https" else "ws",
        "subprotocols": list(subprotocols),
        "extensions": extensions,
        **_common(facts),
        **state,
    }


def http_scope(facts: RequestFacts, method: str, http_version: str, state: dict[str, Any]) -> dict[str, Any]:
    """Return the scope of a request."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": http_version,
        "method": method,
        "scheme": facts.scheme,
        **_common(facts),
        **state,
    }


def _common(facts: RequestFacts) -> dict[str, Any]:
    return {
        "path": unquote(facts.raw_path.decode("ascii")),
        "raw_path": facts.raw_path,
        "root_path": facts.root_path,
        "query_string": facts.query_string,
        "headers": facts.headers,
        "client": facts.client,
        "server": facts.server,
    }


def host_and_port(address: Any) -> list[Any] | None:
    """Return one of Twisted's addresses as ASGI has it, or None for a Unix socket's."""
    if hasattr(address, "host") and hasattr(address, "port"):
        return [intern(str(address.host)), address.port]
    return None
