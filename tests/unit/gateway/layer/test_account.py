"""Logging in to shards of a host list."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_gateway.environment import Environment, read_environment
from realtime_gateway.layer.account import with_account

BY_SENTINEL = {"sentinels": [["chat-sentinel-0", 26379]], "master_name": "chat-redis-0"}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    (tmp_path / "password").write_text("secret\n")
    file = str(tmp_path / "password")
    return read_environment(
        {"REALTIME_GATEWAY_REDIS_USERNAME": "gateway", "REALTIME_GATEWAY_REDIS_PASSWORD_FILE": file}
    )


def test_a_shard_and_its_sentinels_get_the_account(environment: Environment) -> None:
    account = {"username": "gateway", "password": "secret"}
    assert with_account(BY_SENTINEL, environment) == {**BY_SENTINEL, **account, "sentinel_kwargs": account}
    assert with_account({"host": "a", "port": 1}, environment) == {"host": "a", "port": 1, **account}


@pytest.mark.parametrize("connection", [{"address": "redis://a:1"}, {"host": "a", "password": "other"}])
def test_a_shard_that_says_itself_who_logs_in_is_left_alone(
    connection: dict[str, str], environment: Environment
) -> None:
    assert with_account(connection, environment) == connection


def test_without_an_account_in_the_environment_nothing_is_added() -> None:
    assert with_account(BY_SENTINEL, read_environment({})) == BY_SENTINEL


def test_a_password_that_was_exchanged_is_used_from_then_on(environment: Environment) -> None:
    assert environment.redis_password_file is not None
    environment.redis_password_file.write_text("newer")
    assert with_account({"host": "a"}, environment)["password"] == "newer"
