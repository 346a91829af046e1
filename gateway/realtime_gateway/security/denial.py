"""Refusing a client before it is connected, with a line in the log and a count by reason."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from math import ceil
from typing import Any

from realtime_gateway.endings import POLICY
from realtime_gateway.telemetry import recorder
from realtime_gateway.telemetry.socket_spans import note_handshake
from realtime_gateway.telemetry.spans import AUTH, ORIGIN

logger = logging.getLogger("realtime_gateway.security")

# The ASGI extension by which a handshake is refused with a response.
RESPONSE = "websocket.http.response"

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Reason(Enum):
    """Why a client is refused; the value is the label of ``realtime_gateway_denials``.

    Attributes:
        status: the HTTP status before the upgrade; after it, the close code is 4000 more, or 1008 for a limit.
        told: what the client reads. It says no more than the client may know.
    """

    status: int
    told: str

    ORIGIN = "origin", 403, "origin not allowed"
    ORIGIN_REPORTED = "origin_reported", 403, "origin not allowed"
    CSRF = "csrf", 403, "CSRF check failed"
    TOKEN_MISSING = "token_missing", 401, "a token is needed"
    TOKEN_MALFORMED = "token_malformed", 401, "invalid token"
    TOKEN_INVALID = "token_invalid", 401, "invalid token"
    TOKEN_EXPIRED = "token_expired", 401, "token expired"
    TOKEN_NOT_YET_VALID = "token_not_yet_valid", 401, "token not valid yet"
    TOKEN_AUDIENCE = "token_audience", 401, "token for another audience"
    TOKEN_ISSUER = "token_issuer", 401, "token of another issuer"
    TOKEN_KEY = "token_key", 401, "token signed with an unknown key"
    KEYS_UNAVAILABLE = "keys_unavailable", 503, "try again later"
    USER_UNKNOWN = "user_unknown", 401, "invalid token"
    PERMISSION = "permission", 403, "not allowed"
    GROUP = "group", 403, "not allowed"
    USER_CONNECTIONS = "user_connections", 429, "too many connections"
    USER_RATE = "user_rate", 429, "too many new connections"
    ADDRESS_CONNECTIONS = "address_connections", 429, "too many connections from this address"
    ADDRESS_RATE = "address_rate", 429, "too many new connections from this address"

    def __new__(cls, label: str, status: int, told: str) -> Reason:
        """Make a member whose value is its label."""
        made = object.__new__(cls)
        made._value_ = label
        made.status = status
        made.told = told
        return made

    @property
    def close_code(self) -> int:
        """The close code once the WebSocket is open."""
        return POLICY.code if self.status == 429 else 4000 + self.status


# All of them stand on the metrics page from the start: a rate over a counter that appears late misses its first step.
for _reason in Reason:
    recorder.denials.add(0, _reason.value)


async def deny(
    scope: Scope, receive: Receive, send: Send, reason: Reason, detail: str, wait_seconds: float = 1.0
) -> None:
    """Answer a handshake, or a request, with the reason's status; ``detail`` is logged, and must hold no secret.

    ``wait_seconds`` is when to try again; with 429 and 503 the client reads it as Retry-After, in whole seconds.

    Where the server lacks the ASGI extension for denial responses, a refused handshake is 403, whatever the reason.
    """
    note_denial(scope, reason, detail)
    if scope["type"] == "http":
        await _respond(send, "http.response", reason, wait_seconds)
        return
    await receive()  # websocket.connect
    if reason.status != 403 and RESPONSE in (scope.get("extensions") or {}):
        await _respond(send, RESPONSE, reason, wait_seconds)
    else:
        await send({"type": "websocket.close", "code": reason.close_code, "reason": reason.told})


def note_denial(scope: Scope, reason: Reason, detail: str) -> None:
    """Count a refusal without answering it, and log it unless there is nothing to say."""
    recorder.denials.add(1, reason.value)
    note_handshake(scope, ORIGIN if reason in (Reason.ORIGIN, Reason.ORIGIN_REPORTED) else AUTH, reason.value)
    if not detail:
        return
    logger.warning("Refused a %s to %r from %s: %s", _kind(scope), scope.get("path"), _client(scope), detail)


async def _respond(send: Send, kind: str, reason: Reason, wait_seconds: float) -> None:
    body = f"{reason.told}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    if reason.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110 section 11.6.1 wants one with each 401
    if reason.status in (429, 503):
        headers.append((b"retry-after", b"%d" % max(1, ceil(wait_seconds))))
    await send({"type": f"{kind}.start", "status": reason.status, "headers": headers})
    await send({"type": f"{kind}.body", "body": body})


def _kind(scope: Scope) -> str:
    return "request" if scope["type"] == "http" else "WebSocket"


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "an unknown client"
