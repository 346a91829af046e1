"""Users of two models are two users, and a primary key is the same one in every form that its field reads."""

from __future__ import annotations

import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.models import Session
from django.db import models
from django.test import override_settings
from django.utils.functional import SimpleLazyObject

from realtime_gateway.auth.connections import Connection
from realtime_gateway.auth.identity import Identity
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security import user_keys
from realtime_gateway.security.user_keys import key_of, row_key

KEY = uuid.uuid4()


def test_a_user_of_the_sites_model_is_its_key_as_processes_of_older_versions_have_it() -> None:
    proxy = SimpleNamespace(pk=7, _meta=SimpleNamespace(concrete_model=User))
    for user in (User(pk=7), proxy, SimpleLazyObject(lambda: User(pk=7)), SimpleNamespace(pk=7)):
        assert row_key(user) == key_of(user) == "7"
    assert row_key(AnonymousUser()) is None
    assert row_key(None) is None


def test_a_row_of_another_model_is_not_the_user_with_its_key() -> None:
    assert row_key(Group(pk=7)) == key_of(Group(pk=7)) == "auth.group 7"
    assert Connection(Identity(Group(pk=7)), None, None).user_key == "auth.group 7"  # type: ignore[arg-type]
    with override_settings(AUTH_USER_MODEL="auth.Group"):
        assert get_user_model() is Group
        assert (row_key(Group(pk=7)), row_key(User(pk=7))) == ("7", "auth.user 7")
    with override_settings(AUTH_USER_MODEL="not.Installed"):
        assert row_key(User(pk=7)) == "auth.user 7"
        assert key_of("ann") == "ann"


@pytest.mark.parametrize("given", [KEY, str(KEY), KEY.hex, str(KEY).upper()])
def test_a_uuid_is_one_key_in_every_form(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = SimpleNamespace(_meta=SimpleNamespace(pk=models.UUIDField(), label="shop.User"))
    monkeypatch.setattr(user_keys, "_user_model", lambda: model)
    assert key_of(given) == str(KEY)


def test_a_number_is_one_key_in_every_form_and_text_is_itself() -> None:
    assert [key_of(given) for given in (7, "7", " 7", "007")] == ["7"] * 4
    with override_settings(AUTH_USER_MODEL="sessions.Session"):
        assert get_user_model() is Session
        assert key_of("ann") == "ann"


@pytest.mark.parametrize("given", ["ann", "", None, "7; drop", str(KEY)])
def test_what_can_be_nobodys_key_is_an_error(given: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"no primary key of auth\.User"):
        key_of(given)
