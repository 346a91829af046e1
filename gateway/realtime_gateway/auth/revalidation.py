"""Whether users who are connected may still be: one query for many of them. For a thread; nothing is ever changed.

Users of ``ModelBackend``, of its subclasses that leave ``get_user`` alone, and of tokens are read many at a time, with
the model's default manager and so through the database routers; those of other backends one by one. Sessions in the
database (``db``, ``cached_db``) are read many at a time, those in a cache with ``get_many``, those of other engines one
by one. What is in a signed cookie is nowhere else, so that only its user can be looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.session_user import hash_holds

SIMPLE_JWT = "simplejwt:"
# A model and a primary key: tokens may name rows of several models, whose keys need not differ.
Row = tuple[type[Model], Any]


def refusals(identities: Sequence[Identity]) -> list[str]:
    """Return, for each identity, why it may no longer be connected; "" where it may."""
    users = _present_users(identities)
    sessions = _present_sessions({identity.session_key for identity in identities if identity.session_key})
    blacklisted = _users_without_refresh_tokens(identities)

    def refusal(identity: Identity) -> str:
        if not _is_row(identity.user):
            return ""
        user = users[identity.backend].get(_row(identity.user))
        if user is None:
            return "user no longer active"
        if identity.session_key:
            if not hash_holds(user, identity.session_hash):
                return "credentials changed"
            if sessions is not None and identity.session_key not in sessions:
                return "logged out"
        return "logged out" if identity.user.pk in blacklisted else ""

    return [refusal(identity) for identity in identities]


def _is_row(user: Any) -> bool:
    return hasattr(user, "_meta") and getattr(user, "pk", None) is not None


def _row(user: Any) -> Row:
    return user._meta.concrete_model, user.pk


def _present_users(identities: Iterable[Identity]) -> dict[str, dict[Row, Any]]:
    """Return backend → row → user, of those who may log in."""
    wanted: dict[str, set[Row]] = defaultdict(set)
    for identity in identities:
        if _is_row(identity.user):
            wanted[identity.backend].add(_row(identity.user))
    found: dict[str, dict[Row, Any]] = defaultdict(dict)
    for backend, rows in wanted.items():
        found[backend] = _users_of_backend(backend, rows)
    return found


def _users_of_backend(path: str, rows: Collection[Row]) -> dict[Row, Any]:
    from django.contrib.auth import load_backend
    from django.contrib.auth.backends import ModelBackend

    if not path:  # tokens
        return _users_by_query(rows, lambda user: getattr(user, "is_active", True))
    if path not in settings.AUTHENTICATION_BACKENDS:
        return {}
    backend: Any = load_backend(path)
    if isinstance(backend, ModelBackend) and type(backend).get_user is ModelBackend.get_user:
        return _users_by_query(rows, backend.user_can_authenticate)
    found = ((row, backend.get_user(row[1])) for row in rows)
    return {row: user for row, user in found if user is not None}


def _users_by_query(rows: Collection[Row], may: Callable[[Any], bool]) -> dict[Row, Any]:
    found: dict[Row, Any] = {}
    by_model: dict[type[Model], list[Any]] = defaultdict(list)
    for model, key in rows:
        by_model[model].append(key)
    for model, wanted in by_model.items():
        found |= {_row(user): user for user in model._default_manager.filter(pk__in=wanted) if may(user)}
    return found


def _present_sessions(keys: set[str]) -> set[str] | None:
    """Return the sessions that there still are, or None where the engine cannot tell."""
    from django.contrib.sessions.backends.base import SessionBase

    if not keys:
        return set()
    engine = import_module(settings.SESSION_ENGINE)
    store: type[SessionBase] = engine.SessionStore
    for module, look in LOOKS.items():
        if issubclass(store, import_module(module).SessionStore):
            return look(store, keys)
    # Some engines leave the expiry out of `exists`; what has expired there is gone when they clean up.
    return {key for key in keys if store(key).exists(key)}


def _in_database(store: Any, keys: set[str]) -> set[str]:
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return set(rows.values_list("session_key", flat=True))


def _in_cache(store: Any, keys: set[str]) -> set[str]:
    made = store()
    by_cache_key = {made.cache_key_prefix + key: key for key in keys}
    return {by_cache_key[found] for found in made._cache.get_many(by_cache_key)}


def _in_cookie(store: Any, keys: set[str]) -> None:
    return None


LOOKS: dict[str, Callable[[Any, set[str]], set[str] | None]] = {
    "django.contrib.sessions.backends.db": _in_database,
    "django.contrib.sessions.backends.cache": _in_cache,
    "django.contrib.sessions.backends.signed_cookies": _in_cookie,
}


def _users_without_refresh_tokens(identities: Iterable[Identity]) -> set[Any]:
    """Return who came with a SimpleJWT token and had all refresh tokens blacklisted.

    An access token names no refresh token, so that one of several that is blacklisted says nothing of the others; each
    access token has its own end a few minutes later.
    """
    if not apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        return set()
    keys = {i.user.pk for i in identities if i.credential.startswith(SIMPLE_JWT) and _is_row(i.user)}
    if not keys:
        return set()
    model: Any = apps.get_model("token_blacklist", "OutstandingToken")
    rows = model.objects.filter(user_id__in=keys, expires_at__gt=timezone.now())
    live: dict[Any, bool] = {}
    for user, blacklisted in rows.values_list("user_id", "blacklistedtoken"):
        live[user] = live.get(user, False) or blacklisted is None
    return {user for user, is_live in live.items() if not is_live}
