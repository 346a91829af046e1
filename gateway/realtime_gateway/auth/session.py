"""The user of a Django session: Channels' stack, which looks at a session and never changes it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from channels.auth import AuthMiddleware
from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.contrib.sessions.backends.base import UpdateError

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.session_user import holds_nobody, session_identity
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.security.denial import Application, Receive, Scope, Send
from realtime_gateway.settings import gateway_settings

logger = logging.getLogger("realtime_gateway.security")


class SessionUserMiddleware(AuthMiddleware):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Channels' ``AuthMiddleware``, but for two things.

    A login whose session hash was made with one of SECRET_KEY_FALLBACKS holds; and where the hash is wrong, the user is
    anonymous and the session stays, since deleting it is up to the site's next request.

    Args:
        inner: the application.
        save_at_disconnect: save what a consumer has changed in the session when its WebSocket is over.
    """

    inner: Application

    def __init__(self, inner: Application, *, save_at_disconnect: bool = False) -> None:
        super().__init__(inner)
        self._save_at_disconnect = save_at_disconnect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put ``user`` and ``auth`` into the scope, and watch over the connection."""
        began_at = asyncio.get_running_loop().time()
        scope = dict(scope)
        self.populate_scope(scope)
        identity = await identity_of(scope["session"])
        if hasattr(scope["user"], "_wrapped"):
            scope["user"]._wrapped = identity.user
        try:
            await run_watched(self.inner, identity, (scope, receive, send), began_at)
        finally:
            if self._save_at_disconnect and scope["type"] == "websocket":
                await _save_changes(scope["session"])


async def identity_of(session: Any) -> Identity:
    """Return who is logged in; of a client that named no session without a thread."""
    if holds_nobody(session):
        from django.contrib.auth.models import AnonymousUser

        return Identity(AnonymousUser())
    identity: Identity = await database_sync_to_async(session_identity)(session)
    return identity


async def _save_changes(session: Any) -> None:
    """Save a session that has changed; one that is gone stays so, and none is made, since no cookie could name it."""
    if not session.modified or session.session_key is None:
        return
    try:
        await database_sync_to_async(session.save)()
    except UpdateError:
        logger.debug("A session was gone before its WebSocket was")
    except Exception:
        logger.exception("What a WebSocket has changed in its session could not be saved")


def session_stack(inner: Application, *, save_at_disconnect: bool | None = None) -> Application:
    """Cookies, Django's session, and the user who is logged in.

    Args:
        inner: the application.
        save_at_disconnect: save what a consumer has changed in the session when its WebSocket is over; None is as
            ``REALTIME_GATEWAY["SAVE_SESSIONS_AT_DISCONNECT"]`` says.
    """
    saves = gateway_settings().save_sessions_at_disconnect if save_at_disconnect is None else save_at_disconnect
    user = SessionUserMiddleware(inner, save_at_disconnect=saves)
    stack: Application = CookieMiddleware(SessionMiddleware(user))
    return stack
