"""The user of a Django session: Channels' stack, which looks at a session and never changes it."""

from __future__ import annotations

from typing import Any

from channels.auth import AuthMiddleware
from channels.db import database_sync_to_async
from channels.sessions import CookieMiddleware, SessionMiddleware
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.utils.crypto import constant_time_compare

from realtime_gateway.auth.identity import Identity, digest
from realtime_gateway.security.denial import Application, Receive, Scope, Send


class SessionUserMiddleware(AuthMiddleware):  # type: ignore[misc]  # Channels is untyped
    """Channels' ``AuthMiddleware``, but for two things.

    A login whose session hash was made with one of SECRET_KEY_FALLBACKS holds; and where the hash is wrong, the user is
    anonymous and the session stays, since deleting it is up to the site's next request.
    """

    inner: Application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Put ``user`` and ``auth`` into the scope."""
        scope = dict(scope)
        self.populate_scope(scope)
        identity = await database_sync_to_async(session_identity)(scope["session"])
        if hasattr(scope["user"], "_wrapped"):
            scope["user"]._wrapped = identity.user
        scope["auth"] = identity
        await self.inner(scope, receive, send)


def session_stack(inner: Application) -> Application:
    """Cookies, Django's session, and the user who is logged in."""
    stack: Application = CookieMiddleware(SessionMiddleware(SessionUserMiddleware(inner)))
    return stack


def session_identity(session: Any) -> Identity:
    """Return who is logged in; one read of the session and one query for the user. For a thread."""
    from django.contrib.auth.models import AnonymousUser

    user, backend_path = user_of_session(session)
    if user is None:
        return Identity(AnonymousUser())
    key = session.session_key or ""
    recorded = session.get(HASH_SESSION_KEY, "")
    return Identity(user, credential=digest(key), backend=backend_path, session_key=key, session_hash=recorded)


def user_of_session(session: Any) -> tuple[Any, str]:
    """Return the user and the path of the backend, or None and ""."""
    try:
        user_id = get_user_model()._meta.pk.to_python(session[SESSION_KEY])
        backend_path = session[BACKEND_SESSION_KEY]
    except KeyError:
        return None, ""
    if backend_path not in settings.AUTHENTICATION_BACKENDS:
        return None, ""
    user = load_backend(backend_path).get_user(user_id)
    if user is None or not hash_holds(user, session.get(HASH_SESSION_KEY, "")):
        return None, ""
    return user, backend_path


def hash_holds(user: Any, recorded: str) -> bool:
    """Say whether a session's hash is still the user's, under SECRET_KEY or one of its fallbacks."""
    if not hasattr(user, "get_session_auth_hash"):
        return True
    if not recorded:
        return False
    if constant_time_compare(recorded, user.get_session_auth_hash()):
        return True
    fallbacks = getattr(user, "get_session_auth_fallback_hash", None)
    return fallbacks is not None and any(constant_time_compare(recorded, each) for each in fallbacks())
