"""Refusing a WebSocket before it is open, with a line in the log and a count by reason."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from typing import Any

from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.security")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Reason(Enum):
    """Why a handshake is refused; the value is the label of ``realtime_gateway_denials``."""

    ORIGIN = "origin"


async def deny(scope: Scope, receive: Receive, send: Send, reason: Reason, detail: str) -> None:
    """Answer the handshake with status 403, which is what an ASGI server makes of a close before an accept."""
    recorder.denials.add(1, reason.value)
    logger.warning("Refused a WebSocket to %r from %s: %s", scope.get("path"), _client(scope), detail)
    await receive()  # websocket.connect
    await send({"type": "websocket.close"})


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "an unknown client"
