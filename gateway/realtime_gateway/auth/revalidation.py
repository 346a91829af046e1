"""Whether users who are connected may still be: one query for many of them. For a thread; nothing is ever changed.

Users of ``ModelBackend``, of its subclasses that leave ``get_user`` alone, and of tokens are read many at a time, with
the model's default manager and so through the database routers; those of other backends one by one. Sessions in the
database (``db``, ``cached_db``) are read many at a time, those in a cache with ``get_many``, those of other engines one
by one. What is in a signed cookie is nowhere else, so that only its user can be looked at. Stored tokens are read many
at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model
from django.utils import timezone

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.session_user import hash_holds
from realtime_gateway.auth.triggers import RIGHTS_LOST
from realtime_gateway.endings import FORBIDDEN, UNAUTHENTICATED, Ending

SIMPLE_JWT = "simplejwt:"
# A model and a primary key: tokens may name rows of several models, whose keys need not differ.
Row = tuple[type[Model], Any]
# With which code, and what the client reads.
Refusal = tuple[Ending, str]
# Rights that stand on the user itself.
FLAGS = ("is_superuser", "is_staff")


def refusals(identities: Sequence[Identity]) -> list[Refusal | None]:
    """Return, for each identity, with what it is to be closed; None where it may stay."""
    seen = _Seen(
        _present_users(identities),
        _present_sessions({identity.session_key for identity in identities if identity.session_key}),
        _present_tokens(identities),
        _users_without_refresh_tokens(identities),
    )
    return [next((found for look in CHECKS if (found := look(identity, seen))), None) for identity in identities]


@dataclass(frozen=True)
class _Seen:
    """What there still is of what some identities rest on.

    Attributes:
        users: backend → row → user, of those who may log in.
        sessions: keys; None where the engine cannot tell.
        tokens: rows of stored tokens.
        without_refresh_tokens: primary keys of users of SimpleJWT.
    """

    users: Mapping[str, Mapping[Row, Any]]
    sessions: set[str] | None
    tokens: set[Row]
    without_refresh_tokens: set[Any]

    def user_of(self, identity: Identity) -> Any:
        return self.users[identity.backend].get(_row(identity.user)) if _is_row(identity.user) else None


def _token_gone(identity: Identity, seen: _Seen) -> Refusal | None:
    gone = identity.token is not None and _row(identity.token) not in seen.tokens
    return (UNAUTHENTICATED, "token revoked") if gone else None


def _user_gone(identity: Identity, seen: _Seen) -> Refusal | None:
    gone = _is_row(identity.user) and seen.user_of(identity) is None
    return (UNAUTHENTICATED, "user no longer active") if gone else None


def _hash_changed(identity: Identity, seen: _Seen) -> Refusal | None:
    changed = identity.session_key and not hash_holds(seen.user_of(identity), identity.session_hash)
    return (UNAUTHENTICATED, "credentials changed") if changed else None


def _session_gone(identity: Identity, seen: _Seen) -> Refusal | None:
    gone = identity.session_key and seen.sessions is not None and identity.session_key not in seen.sessions
    return (UNAUTHENTICATED, "logged out") if gone else None


def _refresh_tokens_gone(identity: Identity, seen: _Seen) -> Refusal | None:
    gone = _is_of_simple_jwt(identity) and identity.user.pk in seen.without_refresh_tokens
    return (UNAUTHENTICATED, "logged out") if gone else None


def _flag_lost(identity: Identity, seen: _Seen) -> Refusal | None:
    user = seen.user_of(identity)
    lost = any(getattr(identity.user, flag, False) and not getattr(user, flag, True) for flag in FLAGS)
    return (FORBIDDEN, RIGHTS_LOST) if lost else None


# In this order; each may rely on what those before it have found.
CHECKS = (_token_gone, _user_gone, _hash_changed, _session_gone, _refresh_tokens_gone, _flag_lost)


def _present_tokens(identities: Iterable[Identity]) -> set[Row]:
    """Return the stored tokens that there still are; one query for each model."""
    wanted: dict[type[Model], list[Any]] = defaultdict(list)
    for identity in identities:
        if identity.token is not None:
            model, key = _row(identity.token)
            wanted[model].append(key)
    found: set[Row] = set()
    for model, keys in wanted.items():
        found |= {(model, key) for key in model._default_manager.filter(pk__in=keys).values_list("pk", flat=True)}
    return found


def _is_of_simple_jwt(identity: Identity) -> bool:
    return identity.credential.startswith(SIMPLE_JWT) and _is_row(identity.user)


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
    keys = {identity.user.pk for identity in identities if _is_of_simple_jwt(identity)}
    if not keys:
        return set()
    model: Any = apps.get_model("token_blacklist", "OutstandingToken")
    rows = model.objects.filter(user_id__in=keys, expires_at__gt=timezone.now())
    live: dict[Any, bool] = {}
    for user, blacklisted in rows.values_list("user_id", "blacklistedtoken"):
        live[user] = live.get(user, False) or blacklisted is None
    return {user for user, is_live in live.items() if not is_live}
