"""Which websites may open a WebSocket: Channels' validator, with refusals logged and counted.

A browser sends cookies along whatever page opens a WebSocket, and says in the Origin header whose page it is (RFC 6455,
section 10.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from urllib.parse import urlparse

from channels.security.websocket import OriginValidator
from django.conf import settings

from realtime_gateway.security.denial import Application, Reason, Receive, Scope, Send, deny

# An origin is short; what is longer is cut in the log.
LOGGED_CHARACTERS = 200


class OriginValidation(OriginValidator):  # type: ignore[misc]  # Channels is untyped
    """``OriginValidator`` with the same patterns. A header that is no origin is refused too, where upstream raises."""

    application: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on, or refuse it."""
        if scope["type"] != "websocket":
            raise ValueError('OriginValidation is for WebSockets only; put it under "websocket" of the router.')
        origin = _origin(scope)
        if self._is_allowed(origin):
            await self.application(scope, receive, send)
        else:
            shown = "no origin" if origin is None else f"the origin {origin[:LOGGED_CHARACTERS]!r}"
            detail = f"{shown} is not allowed; allowed are {', '.join(self.allowed_origins) or 'none'}"
            await deny(scope, receive, send, Reason.ORIGIN, detail)

    def _is_allowed(self, origin: str | None) -> bool:
        try:
            return cast(bool, self.valid_origin(None if origin is None else urlparse(origin)))
        except ValueError:  # "http://[::1", "http://host:99999"
            return False


def allowed_hosts_origin_validation(application: Application) -> OriginValidation:
    """Allow the site's own hosts: ALLOWED_HOSTS, and in DEBUG without any, this machine."""
    hosts: Sequence[str] = settings.ALLOWED_HOSTS
    if settings.DEBUG and not hosts:
        hosts = ["localhost", "127.0.0.1", "[::1]"]
    return OriginValidation(application, hosts)


def _origin(scope: Scope) -> str | None:
    found: str | None = None
    for name, value in scope.get("headers", []):
        if name == b"origin":
            found = value.decode("latin1")
    return found
