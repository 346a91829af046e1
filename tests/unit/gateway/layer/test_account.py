"""Logging in to shards of a host list."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from realtime_gateway.environment import Environment, read_environment
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.hosts import Shard
from realtime_gateway.layer.account import with_account

BY_SENTINEL = {"sentinels": [["chat-sentinel-0", 26379]], "master_name": "chat-redis-0"}


def account_for(connection: dict[str, Any], environment: Environment, name: str = "a") -> Mapping[str, Any]:
    return with_account(Shard(name, 1.0, connection), environment)


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "password").write_text("secret\n")
    file = str(tmp_path / "password")
    return read_environment(
        {"REALTIME_GATEWAY_REDIS_USERNAME": "gateway", "REALTIME_GATEWAY_REDIS_PASSWORD_FILE": file}
    )


def test_a_shard_and_its_sentinels_get_the_account(environment: Environment) -> None:
    account = {"username": "gateway", "password": "secret"}
    assert account_for(BY_SENTINEL, environment) == {**BY_SENTINEL, **account, "sentinel_kwargs": account}
    assert account_for({"host": "a", "port": 1}, environment) == {"host": "a", "port": 1, **account}


@pytest.mark.parametrize("connection", [{"address": "redis://a:1"}, {"host": "a", "password": "other"}])
def test_a_shard_that_says_itself_who_logs_in_is_left_alone(
    connection: dict[str, str], environment: Environment
) -> None:
    assert account_for(connection, environment) == connection


def test_without_an_account_in_the_environment_nothing_is_added() -> None:
    assert account_for(BY_SENTINEL, read_environment({})) == BY_SENTINEL


def test_a_password_that_was_exchanged_is_used_from_then_on(environment: Environment) -> None:
    assert environment.redis_password_file is not None
    environment.redis_password_file.write_text("newer")
    assert account_for({"host": "a"}, environment)["password"] == "newer"


@pytest.fixture
def own(tmp_path: Path) -> Environment:
    """An environment with a password of the shard `a` alone."""
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "a").write_text("of-a\n")
    return read_environment({"REALTIME_GATEWAY_SECRETS": str(tmp_path)})


def test_a_shard_with_a_password_of_its_own_gets_it_and_the_others_do_not(own: Environment) -> None:
    assert account_for({"host": "h"}, own) == {"host": "h", "password": "of-a"}
    assert account_for({"host": "h", "username": "u"}, own) == {"host": "h", "username": "u", "password": "of-a"}
    assert account_for({"address": "redis://h"}, own) == {"address": "redis://h", "password": "of-a"}
    assert account_for({"host": "h"}, own, "b") == {"host": "h"}


def test_its_sentinels_get_it_as_their_default_user_who_is_let_in_with_any_password_where_there_is_none(
    own: Environment,
) -> None:
    of_sentinels = {"username": "default", "password": "of-a"}
    assert account_for(BY_SENTINEL, own) == {**BY_SENTINEL, "password": "of-a", "sentinel_kwargs": of_sentinels}


def test_it_is_used_until_there_is_another_one(own: Environment) -> None:
    assert own.secrets_directory is not None
    file = own.secrets_directory / "redis" / "a"
    assert account_for({"host": "h"}, own)["password"] == "of-a"
    for spoil in (lambda: file.write_text(""), file.unlink):
        spoil()
        assert account_for({"host": "h"}, own)["password"] == "of-a"
    file.write_text("newer")
    assert account_for({"host": "h"}, own)["password"] == "newer"


def test_a_file_that_could_never_be_used_is_an_error(own: Environment) -> None:
    assert own.secrets_directory is not None
    (own.secrets_directory / "redis" / "b").write_text("")
    with pytest.raises(ConfigurationError, match=r"redis/b, with the Redis password: it is empty"):
        account_for({"host": "h"}, own, "b")
