"""The access lists on a real server: who may log in, and what a restart leaves."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import redis
from tests.support.operator_targets import target
from tests.support.redis_process import RedisProcess

from realtime_operator.objects import accounts


@pytest.fixture
def access_list(tmp_path: Path) -> Path:
    """The servers' file, with each user's name as its password."""
    secret = {"data": {user: base64.b64encode(user.encode()).decode() for user in accounts.USERS}}
    made = accounts.access_lists(target(), secret)["data"]["users.acl"]
    file = tmp_path / "users.acl"
    file.write_bytes(base64.b64decode(made))
    return file


def client(server: RedisProcess, user: str, password: str) -> redis.Redis:
    return redis.Redis(port=server.port, username=user, password=password, decode_responses=True, retry=None)


@pytest.mark.parametrize(("user", "password"), [("default", ""), ("default", "default"), ("gateway", "wrong")])
def test_nobody_gets_in_without_an_account(access_list: Path, user: str, password: str) -> None:
    refused = pytest.raises((redis.AuthenticationError, redis.ResponseError))
    with RedisProcess("--aclfile", str(access_list)) as server, client(server, user, password) as stranger, refused:
        stranger.ping()


def test_a_restart_from_the_append_only_file_keeps_what_scripts_and_transactions_wrote(access_list: Path) -> None:
    # Always: by the second, Redis answers before it writes while the disk is busy, and the restart is a kill.
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with RedisProcess("--aclfile", str(access_list), *kept) as server:
        with client(server, "gateway", "gateway") as writer:
            writer.eval("redis.call('SET', KEYS[1], 1) redis.call('SET', KEYS[2], 2)", 2, "a", "b")
            writer.pipeline(transaction=True).set("c", 3).set("d", 4).execute()
        server.restart()
        with client(server, "gateway", "gateway") as reader:
            assert reader.mget("a", "b", "c", "d") == ["1", "2", "3", "4"]
