"""Whose login a session holds: reads the session and the user, and changes neither. For a thread."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.sessions.backends.base import SessionBase
from django.utils.crypto import constant_time_compare

from realtime_gateway.auth.identity import Identity, digest


def holds_nobody(session: Any) -> bool:
    """Say that nobody is logged in, where no database or cache is needed to know it: the client named no session."""
    return isinstance(session, SessionBase) and session.session_key is None and SESSION_KEY not in session


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
