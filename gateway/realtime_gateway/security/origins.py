"""Which websites may open a WebSocket: Channels' validator, with refusals logged and counted.

A browser sends cookies along whatever page opens a WebSocket, and says in the Origin header whose page it is (RFC 6455,
section 10.2). Beside Channels' patterns, two that name what is no website:

    "null"       the origin of sandboxed frames, files and redirects; everybody can make one
    "(missing)"  no Origin header: programs, which send what they like, and bring no browser's cookies
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import cast
from urllib.parse import urlparse

import idna
from channels.security.websocket import OriginValidator
from django.conf import settings

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Application, Reason, Receive, Scope, Send, deny, note_denial
from realtime_gateway.telemetry.socket_spans import note_handshake
from realtime_gateway.telemetry.spans import ORIGIN

NULL = "null"
MISSING = "(missing)"
# An origin is short; what is longer is cut in the log.
LOGGED_CHARACTERS = 200
# A page that is refused tries again and again: each origin has one line in the log in this time.
LOGGED_AGAIN_SECONDS = 60.0
REMEMBERED_ORIGINS = 1000


class OriginValidation(OriginValidator):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """``OriginValidator`` with the same patterns. A header that is no origin is refused too, where upstream raises.

    Args:
        application: what follows.
        allowed_origins: patterns; international domain names may be written as people do.
        report_only: log and count what would be refused, and let it pass.
    """

    application: Application

    def __init__(self, application: Application, allowed_origins: Sequence[str], *, report_only: bool = False) -> None:
        super().__init__(application, [_as_browsers_write(pattern) for pattern in allowed_origins])
        self._report_only = report_only
        self._logged: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on, or refuse it."""
        await self.following(scope)(scope, receive, send)

    def following(self, scope: Scope) -> Application:
        """Return what a connection is handed on to: what follows, or what refuses it.

        Raises:
            ValueError: it is no WebSocket.
        """
        if scope["type"] != "websocket":
            raise ValueError('OriginValidation is for WebSockets only; put it under "websocket" of the router.')
        origins = [value.decode("latin1") for name, value in scope.get("headers", []) if name == b"origin"]
        # Two are no browser's, and who validates one may not be who believes the other.
        if len(origins) <= 1 and self._is_allowed(origins[0] if origins else None):
            note_handshake(scope, ORIGIN, "allowed")
            return self.application
        detail = self._worth_a_line(" and ".join(origins) if origins else None)
        if self._report_only:
            note_denial(scope, Reason.ORIGIN_REPORTED, detail)
            return self.application
        return partial(deny, reason=Reason.ORIGIN, detail=detail)

    def _is_allowed(self, origin: str | None) -> bool:
        if origin is None or origin == NULL:
            return "*" in self.allowed_origins or (MISSING if origin is None else NULL) in self.allowed_origins
        try:
            parsed = urlparse(origin)
            # Patterns without a scheme do not look at the port, which is parsed when it is asked for.
            _ = parsed.port
            return cast(bool, self.valid_origin(parsed))
        except ValueError:  # "http://[::1", "http://host:99999"
            return False

    def _worth_a_line(self, origin: str | None) -> str:
        """Return what to log, or "" when the same has been logged a moment ago."""
        shown = "no origin" if origin is None else f"the origin {origin[:LOGGED_CHARACTERS]!r}"
        now = time.monotonic()
        if now - self._logged.get(shown, -LOGGED_AGAIN_SECONDS) < LOGGED_AGAIN_SECONDS:
            return ""
        if len(self._logged) >= REMEMBERED_ORIGINS:
            del self._logged[next(iter(self._logged))]
        self._logged[shown] = now
        return f"{shown} is not allowed; allowed are {', '.join(self.allowed_origins) or 'none'}"


def allowed_hosts_origin_validation(application: Application, *, report_only: bool = False) -> OriginValidation:
    """Allow the site's own hosts: ALLOWED_HOSTS, and in DEBUG without any, this machine."""
    hosts: Sequence[str] = settings.ALLOWED_HOSTS
    if settings.DEBUG and not hosts:
        hosts = ["localhost", "127.0.0.1", "[::1]"]
    return OriginValidation(application, hosts, report_only=report_only)


def _as_browsers_write(pattern: str) -> str:
    """Return a pattern in lower case, with a domain name as browsers put it on the wire (UTS 46, RFC 5890).

    Raises:
        ConfigurationError: no domain name can be written so.
    """
    lowered = pattern.lower()
    if lowered.isascii():
        return lowered
    scheme, separator, rest = lowered.rpartition("://")
    host, colon, port = rest.partition(":")
    dot = "." if host.startswith(".") else ""
    try:
        # Python's own codec is of 2003, and takes faß.example for fass.example, which may be somebody else's.
        wired = idna.encode(host.removeprefix("."), uts46=True).decode()
    except idna.IDNAError as error:
        raise ConfigurationError(f"The allowed origin {pattern!r} holds no domain name: {error}.") from error
    return f"{scheme}{separator}{dot}{wired}{colon}{port}"
