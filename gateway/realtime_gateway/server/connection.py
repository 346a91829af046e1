"""Pure. The life of one WebSocket as the ASGI specification orders it: what an application's message means now.

    CONNECTING ──accept──▶ OPEN ──close──▶ CLOSED
        │                                    ▲
        ├──close (403)───────────────────────┤
        └──http.response.start──▶ DENYING ──last http.response.body

A client that leaves ends any state in CLOSED, where everything an application still sends is dropped in silence: it
cannot know yet. A message that is malformed changes nothing: the application may catch the error and send a better one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from realtime_gateway import endings


class State(Enum):
    """Where a connection is; see the drawing above."""

    CONNECTING = "connecting"
    DENYING = "denying"
    OPEN = "open"
    CLOSED = "closed"


class OutOfOrder(ValueError):
    """An application's message that the specification does not allow at this point."""


class Accept(NamedTuple):
    """Finish the handshake."""

    subprotocol: str | None
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class Deny:
    """Answer the handshake with a status and nothing else."""

    ending: endings.Ending


@dataclass(frozen=True)
class DenyStart:
    """Begin an HTTP response in place of the handshake."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True)
class DenyBody:
    """More of that response."""

    body: bytes
    last: bool


class Send(NamedTuple):
    """One message to the client; a tuple, since one is made for each."""

    payload: bytes
    is_binary: bool


@dataclass(frozen=True)
class Close:
    """Start the closing handshake."""

    code: int
    reason: str


Action = Accept | Deny | DenyStart | DenyBody | Send | Close


class Connection:
    """One connection's state. Feed it the application's messages; perform the action it answers, if any."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = State.CONNECTING

    def client_left(self) -> None:
        """The transport is gone, or the closing handshake has begun."""
        self.state = State.CLOSED

    def application_sent(self, message: dict[str, Any]) -> Action | None:
        """Say what to do about one message from the application.

        Raises:
            OutOfOrder: the message is malformed, or not allowed now.
        """
        if "type" not in message:
            raise OutOfOrder("a message to the server needs a type")
        if self.state is State.CLOSED:
            return None
        kind = message["type"]
        if self.state is State.OPEN:
            return self._while_open(kind, message)
        if self.state is State.CONNECTING:
            return self._while_connecting(kind, message)
        if kind == "websocket.http.response.body":
            piece = DenyBody(_bytes(message.get("body", b""), "body"), not message.get("more_body", False))
            if piece.last:
                self.state = State.CLOSED
            return piece
        raise OutOfOrder(f"{kind} after websocket.http.response.start; only websocket.http.response.body may follow")

    def _while_open(self, kind: str, message: dict[str, Any]) -> Action:
        if kind == "websocket.send":
            return outgoing(message)
        if kind == "websocket.close":
            close = _close(message)
            self.state = State.CLOSED
            return close
        raise OutOfOrder(f"{kind} on a WebSocket that is open; websocket.send or websocket.close is allowed")

    def _while_connecting(self, kind: str, message: dict[str, Any]) -> Action:
        if kind == "websocket.accept":
            accept = Accept(message.get("subprotocol") or None, _headers(message))
            self.state = State.OPEN
            return accept
        if kind == "websocket.close":
            self.state = State.CLOSED
            return Deny(endings.NORMAL)
        if kind == "websocket.http.response.start":
            start = DenyStart(_status(message), _headers(message))
            self.state = State.DENYING
            return start
        if kind == "websocket.send":
            raise OutOfOrder("Socket has not been accepted, so cannot send over it")
        raise OutOfOrder(f"{kind} during the handshake; websocket.accept or websocket.close is allowed")


def outgoing(message: dict[str, Any]) -> Send:
    """Read a websocket.send: ``text`` or ``bytes``, which may be empty; the other is missing, None or empty."""
    text, data = message.get("text"), message.get("bytes")
    if (text is None and data is None) or (text and data):
        raise OutOfOrder("websocket.send needs text or bytes, and only one of them")
    if data or text is None:
        return Send(bytes(data or b""), True)
    if not isinstance(text, str):
        raise OutOfOrder(f"websocket.send: text is {type(text).__name__}, not str")
    return Send(text.encode(), False)


def _close(message: dict[str, Any]) -> Close:
    code, reason = message.get("code"), message.get("reason") or ""
    code = endings.NORMAL.code if code is None else code
    if not isinstance(code, int) or not endings.sendable(code):
        raise OutOfOrder(f"close code {code!r} cannot be sent; use 1000, 1001, 1008, 1011 or one from 3000 to 4999")
    if not isinstance(reason, str):
        raise OutOfOrder(f"websocket.close: reason is {type(reason).__name__}, not str")
    return Close(int(code), reason)


def _status(message: dict[str, Any]) -> int:
    status = message.get("status")
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise OutOfOrder(f"websocket.http.response.start: status is {status!r}; it is a number from 200 to 599")
    return int(status)  # an http.HTTPStatus would be written by its name


def _headers(message: dict[str, Any]) -> tuple[tuple[bytes, bytes], ...]:
    if not message.get("headers"):
        return ()
    headers = tuple((_bytes(name, "header"), _bytes(value, "header")) for name, value in message["headers"])
    for name, value in headers:
        if any(mark in name + value for mark in (b"\r", b"\n", b"\0")):
            raise OutOfOrder(f"header {name!r} contains a line break")
    return headers


def _bytes(value: Any, what: str) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise OutOfOrder(f"{what} {value!r:.60} is {type(value).__name__}, not bytes")
    return bytes(value)
