"""What sends no signal is found by looking at many users at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from tests.integration.auth.conftest import accepting

from realtime_gateway.auth.drf_token import DRFAuthTokenMiddleware
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.revalidation import refusals
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
