"""How shards of a host list are spoken to."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_gateway.environment import read_environment
from realtime_gateway.hosts import Shard
from realtime_gateway.layer.account import with_account
from realtime_gateway.layer.certificates import with_certificates

BY_SENTINEL = {"sentinels": [["chat-sentinel-0", 26379]], "master_name": "chat-redis-0"}


def test_a_shard_and_its_sentinels_get_the_certificates() -> None:
    environment = read_environment(
        {"REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": "/tls", "REALTIME_GATEWAY_REDIS_TLS_NAME": "chat-redis.talk.svc"}
    )
    tls = {
        "ssl": True,
        "ssl_check_hostname": True,
        "ssl_server_name": "chat-redis.talk.svc",
        "ssl_ca_certs": "/tls/ca.crt",
        "ssl_certfile": "/tls/tls.crt",
        "ssl_keyfile": "/tls/tls.key",
    }
    assert with_certificates(BY_SENTINEL, environment) == {**BY_SENTINEL, **tls, "sentinel_kwargs": tls}
    assert with_certificates({"host": "a", "password": "own"}, environment) == {"host": "a", "password": "own", **tls}


def test_an_account_is_added_to_certificates(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret")
    environment = read_environment(
        {
            "REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": "/tls",
            "REALTIME_GATEWAY_REDIS_USERNAME": "gateway",
            "REALTIME_GATEWAY_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
        }
    )
    both = with_account(Shard("a", 1.0, BY_SENTINEL), environment)
    for one in (both, both["sentinel_kwargs"]):
        assert (one["ssl_ca_certs"], one["username"], one["password"]) == ("/tls/ca.crt", "gateway", "secret")


def test_without_a_name_the_host_that_is_dialled_counts() -> None:
    environment = read_environment({"REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": "/tls"})
    assert "ssl_server_name" not in with_certificates({"host": "a"}, environment)


@pytest.mark.parametrize(
    "connection", [{"address": "redis://a:1"}, {"path": "/run/redis.sock"}, {"host": "a", "ssl": False}]
)
def test_a_shard_that_says_itself_how_it_is_spoken_to_is_left_alone(connection: dict[str, object]) -> None:
    environment = read_environment({"REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": "/tls"})
    assert with_certificates(connection, environment) == connection
