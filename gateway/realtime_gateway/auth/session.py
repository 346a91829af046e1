"""The user of a Django session: Channels' stack, which looks at a session and never changes it."""

from __future__ import annotations

import asyncio

from channels.auth import AuthMiddleware
from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware

from realtime_gateway.auth.session_user import session_identity
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.security.denial import Application, Receive, Scope, Send


class SessionUserMiddleware(AuthMiddleware):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Channels' ``AuthMiddleware``, but for two things.

    A login whose session hash was made with one of SECRET_KEY_FALLBACKS holds; and where the hash is wrong, the user is
    anonymous and the session stays, since deleting it is up to the site's next request.
    """

    inner: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put ``user`` and ``auth`` into the scope, and watch over the connection."""
        began_at = asyncio.get_running_loop().time()
        scope = dict(scope)
        self.populate_scope(scope)
        identity = await database_sync_to_async(session_identity)(scope["session"])
        if hasattr(scope["user"], "_wrapped"):
            scope["user"]._wrapped = identity.user
        await run_watched(self.inner, identity, (scope, receive, send), began_at)


def session_stack(inner: Application) -> Application:
    """Cookies, Django's session, and the user who is logged in."""
    stack: Application = CookieMiddleware(SessionMiddleware(SessionUserMiddleware(inner)))
    return stack
