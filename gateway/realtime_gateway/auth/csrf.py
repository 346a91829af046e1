"""Django's CSRF check for the handshake of a WebSocket whose client is known by a cookie.

The origin check is enough for most sites. This one holds also against pages of a sibling domain that share the cookie.
A page sends its token as ``?csrftoken=…`` or as the subprotocols ``csrf`` and the token; the check is Django's own.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

from channels.db import database_sync_to_async
from channels.middleware import BaseMiddleware
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, parse_cookie
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


def post_of(scope: Scope, token: str) -> ASGIRequest:
    """Return a handshake as the POST that Django's middleware checks; what it sees of a proxy is as of any request."""
    request = ASGIRequest(
        {
            **scope,
            "type": "http",
            "method": "POST",
            "scheme": "https" if scope.get("scheme") in ("https", "wss") else "http",
            "query_string": b"",
            # A handshake has no body, and so none that Django should read.
            "headers": [header for header in scope["headers"] if header[0] not in (b"content-type", b"content-length")],
        },
        BytesIO(),
    )
    request.META[settings.CSRF_HEADER_NAME] = token
    cookies = "; ".join(value.decode("latin1") for name, value in scope["headers"] if name == b"cookie")
    request.COOKIES = parse_cookie(cookies)
    if "session" in scope:
        request.session = scope["session"]
    return request


async def _at_once(scope: Scope, token: str) -> bool:
    return passes(scope, token)


def passes(scope: Scope, token: str) -> bool:
    """Say whether Django would take a POST with this token."""
    request = post_of(scope, token)
    middleware = CsrfViewMiddleware(_no_view)
    middleware.process_request(request)
    return middleware.process_view(request, _no_view, (), {}) is None


def _no_view(request: Any) -> HttpResponse:
    return HttpResponse()
