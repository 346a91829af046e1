"""What sends no signal is found by looking at many users at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from tests.integration.auth.conftest import accepting

from realtime_gateway.auth.drf_token import DRFAuthTokenMiddleware
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.revalidation import refusals
from realtime_gateway.auth.session_user import session_identity
from realtime_gateway.endings import FORBIDDEN, UNAUTHENTICATED


def in_thread(test: Callable[[], None]) -> Callable[[], Any]:
    async def run() -> None:
        await sync_to_async(test)()

    run.__name__ = test.__name__
    return run


def somebody(name: str = "ann", **more: Any) -> User:
    return User.objects.create_user(name, **more)


def again(user: User) -> Any:
    return User.objects.filter(pk=user.pk)


@in_thread
def test_a_stored_token_that_is_gone_is_found() -> None:
    keys = [Token.objects.create(user=somebody(name)).key for name in ("ann", "bob")]
    stack = DRFAuthTokenMiddleware(accepting)
    identities = [stack.authenticate(key, {}) for key in keys]
    assert keys[0] not in repr(identities)
    assert refusals(identities) == [None, None]
    Token.objects.filter(pk=keys[0]).delete()
    assert refusals(identities) == [(UNAUTHENTICATED, "token revoked"), None]


@in_thread
def test_many_users_and_tokens_take_one_query_for_each_model() -> None:
    tokens = [Token.objects.create(user=somebody(f"user-{number}")) for number in range(20)]
    identities = [Identity(token.user, token=token) for token in tokens]
    with CaptureQueriesContext(connection) as queries:
        assert refusals(identities) == [None] * 20
    assert len(queries) == 2


@pytest.mark.parametrize("flag", ["is_superuser", "is_staff"])
async def test_a_flag_that_is_lost_is_found_and_one_that_is_won_harms_nobody(flag: str) -> None:
    def look() -> None:
        losing, winning = somebody("ann", **{flag: True}), somebody("bob")
        again(losing).update(**{flag: False})
        again(winning).update(**{flag: True})
        assert refusals([Identity(losing), Identity(winning)]) == [(FORBIDDEN, "permissions changed"), None]

    await sync_to_async(look)()


@in_thread
def test_the_end_of_all_refresh_tokens_ends_no_session_of_the_same_user() -> None:
    user = somebody()
    RefreshToken.for_user(user)
    BlacklistedToken.objects.create(token=OutstandingToken.objects.get())
    by_token, by_other = Identity(user, credential="simplejwt:1"), Identity(user, credential="other")
    assert refusals([by_token, by_other]) == [(UNAUTHENTICATED, "logged out"), None]


@in_thread
def test_who_is_no_row_is_left_alone() -> None:
    assert refusals([Identity("ann", credential="jwt:1"), Identity(None)]) == [None, None]


MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
ENGINES = ["db", "cached_db", "cache", "file", "signed_cookies"]


def logged_in(user: User, backend: str = MODEL_BACKEND) -> Identity:
    """Who has logged in by a session of the engine that is set."""
    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = backend
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session_identity(session)


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_session_that_is_gone_is_found_where_its_engine_can_tell(engine: str, tmp_path: Path) -> None:
    def look() -> None:
        staying, leaving = logged_in(somebody("ann")), logged_in(somebody("bob"))
        assert refusals([staying, leaving]) == [None, None]
        import_module(settings.SESSION_ENGINE).SessionStore(leaving.session_key).delete()
        gone = None if engine == "signed_cookies" else (UNAUTHENTICATED, "logged out")
        assert refusals([staying, leaving]) == [None, gone]

    where = {"SESSION_ENGINE": f"django.contrib.sessions.backends.{engine}", "SESSION_FILE_PATH": str(tmp_path)}
    with override_settings(**where):
        await sync_to_async(look)()


@in_thread
def test_many_sessions_take_one_query_and_their_users_another() -> None:
    identities = [logged_in(somebody(f"user-{number}")) for number in range(20)]
    with CaptureQueriesContext(connection) as queries:
        assert refusals(identities) == [None] * 20
    assert len(queries) == 2


@in_thread
def test_a_session_that_has_expired_is_over() -> None:
    identity = logged_in(somebody())
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert refusals([identity]) == [(UNAUTHENTICATED, "logged out")]


@in_thread
def test_a_changed_password_is_found() -> None:
    user = somebody()
    identity = logged_in(user)
    user.set_password("another")
    user.save()
    assert refusals([identity]) == [(UNAUTHENTICATED, "credentials changed")]


@in_thread
def test_a_login_from_before_a_change_of_the_secret_key_holds_while_the_old_one_is_kept() -> None:
    identity = logged_in(somebody())
    old, new = settings.SECRET_KEY, "another-" + "y" * 40
    with override_settings(SECRET_KEY=new, SECRET_KEY_FALLBACKS=[old]):
        assert refusals([identity]) == [None]
    with override_settings(SECRET_KEY=new):
        assert refusals([identity]) == [(UNAUTHENTICATED, "credentials changed")]


class Porter(BaseBackend):
    """A backend that finds users by a rule of its own."""

    asked: ClassVar[list[Any]] = []
    banned: ClassVar[set[Any]] = set()

    def get_user(self, user_id: Any) -> Any:
        self.asked.append(user_id)
        return None if user_id in self.banned else User.objects.filter(pk=user_id).first()


@in_thread
def test_a_backend_with_rules_of_its_own_is_asked_for_each_user_once() -> None:
    path = f"{__name__}.Porter"
    with override_settings(AUTHENTICATION_BACKENDS=[path]), patch("django.contrib.auth.load_backend") as load:
        load.return_value = Porter()
        ann, bob = (Identity(somebody(name), backend=path) for name in ("ann", "bob"))
        Porter.asked, Porter.banned = [], {bob.user.pk}
        assert refusals([ann, bob, ann]) == [None, (UNAUTHENTICATED, "user no longer active"), None]
        assert sorted(Porter.asked) == sorted([ann.user.pk, bob.user.pk])


@in_thread
def test_who_came_by_a_backend_that_is_no_longer_in_use_is_nobody() -> None:
    identity = Identity(somebody(), backend="shop.backends.Gone")
    assert refusals([identity]) == [(UNAUTHENTICATED, "user no longer active")]


@pytest.mark.parametrize(("backend", "stays"), [("ModelBackend", False), ("AllowAllUsersModelBackend", True)])
async def test_whether_an_inactive_user_may_stay_is_the_backends_to_say(backend: str, stays: bool) -> None:
    def look() -> None:
        path = f"django.contrib.auth.backends.{backend}"
        with override_settings(AUTHENTICATION_BACKENDS=[path]):
            identity = Identity(somebody(is_active=False), backend=path)
            assert refusals([identity]) == [None if stays else (UNAUTHENTICATED, "user no longer active")]

    await sync_to_async(look)()


@in_thread
def test_rows_of_two_models_with_one_key_are_not_taken_for_each_other() -> None:
    other = ContentType.objects.earliest("pk")
    user = User.objects.create(pk=other.pk, username="ann")
    again(user).delete()
    assert refusals([Identity(user), Identity(other)]) == [(UNAUTHENTICATED, "user no longer active"), None]
