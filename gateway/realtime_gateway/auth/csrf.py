"""Django's CSRF check for the handshake of a WebSocket whose client is known by a cookie.

The origin check is enough for most sites. This one holds also against pages of a sibling domain that share the cookie.
A page sends its token as ``?csrftoken=…`` or as the subprotocols ``csrf`` and the token; the check is Django's own.
"""

from __future__ import annotations

from typing import Any

from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from django.conf import settings
from django.http import HttpRequest, HttpResponse, parse_cookie
from django.middleware.csrf import CsrfViewMiddleware

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.auth.token_middleware import choosing
from realtime_gateway.auth.token_sources import Query, Subprotocol, find_token
from realtime_gateway.security.denial import Application, Reason, Receive, Scope, Send, deny

SOURCES = (Query("csrftoken"), Subprotocol("csrf"))


class CsrfValidation(BaseMiddleware):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Refuses a handshake without the token that belongs to the CSRF cookie, or with CSRF_USE_SESSIONS to the session.

    It goes inside the session stack: ``session_stack(CsrfValidation(URLRouter(…)))``.
    """

    inner: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the connection on, or refuse it with 403."""
        if scope["type"] != "websocket":
            await self.inner(scope, receive, send)
            return
        try:
            token = find_token(SOURCES, scope)
        except Rejected as rejected:
            await deny(scope, receive, send, Reason.CSRF, rejected.message)
            return
        # A session may have to be read first.
        check = database_sync_to_async(passes) if settings.CSRF_USE_SESSIONS else _at_once
        if not await check(scope, token.value if token else ""):
            await deny(scope, receive, send, Reason.CSRF, "its CSRF token is missing or wrong")
            return
        await self.inner(scope, receive, choosing(token, send) if token and token.chosen_subprotocol else send)


class _Handshake(HttpRequest):
    """A handshake as the POST that Django's middleware checks."""

    def __init__(self, scope: Scope, token: str) -> None:
        super().__init__()
        self.method = "POST"
        self._handshake_scheme = "https" if scope.get("scheme") in ("https", "wss") else "http"
        for name, value in scope["headers"]:
            if name in (b"host", b"origin", b"referer"):
                self.META["HTTP_" + name.decode().upper()] = value.decode("latin1")
        self.META[settings.CSRF_HEADER_NAME] = token
        cookies = "; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie")
        self.COOKIES = parse_cookie(cookies)
        if "session" in scope:
            self.session = scope["session"]

    def _get_scheme(self) -> str:
        return self._handshake_scheme


async def _at_once(scope: Scope, token: str) -> bool:
    return passes(scope, token)


def passes(scope: Scope, token: str) -> bool:
    """Say whether Django would take a POST with this token."""
    request = _Handshake(scope, token)
    middleware = CsrfViewMiddleware(_no_view)
    middleware.process_request(request)
    return middleware.process_view(request, _no_view, (), {}) is None


def _no_view(request: Any) -> HttpResponse:
    return HttpResponse()
