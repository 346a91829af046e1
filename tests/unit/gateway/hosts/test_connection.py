from __future__ import annotations

from typing import Any

import pytest

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import check_connection

SENTINELS = {"master_name": "m", "sentinels": [["h", 26379]]}


@pytest.mark.parametrize(
    "connection",
    [
        {"address": "redis://:hush@h:6379/1"},
        {"address": "rediss://[::1]:6380"},
        {"address": "redis://"},
        {"address": "unix:///run/redis.sock?db=1"},
        {"host": "h"},
        {"port": 6380},
        {"host": "h", "port": "6380", "db": 3},
        {"path": "/run/redis.sock"},
        {"unix_socket_path": "/run/redis.sock"},
        SENTINELS,
        {"master_name": "m", "sentinels": (("g", "1"), ("h", 65535)), "password": "hush"},
    ],
)
def test_each_form_of_channels_redis_is_taken(connection: dict[str, Any]) -> None:
    check_connection(connection, "here")


@pytest.mark.parametrize(
    ("connection", "complaint"),
    [
        ({}, "says neither"),
        ({"password": "hush"}, "says neither"),
        ({"address": ["redis://:hush@h"]}, "begins with none of"),
        ({"address": 5}, "begins with none of"),
        ({"address": "http://:hush@h"}, "begins with none of"),
        ({"address": "redis:h"}, "begins with none of"),
        ({"address": "redis://:hush@h:port"}, "host or port cannot be read"),
        ({"address": "redis://:hush@h:65536"}, "host or port cannot be read"),
        ({"address": "redis://:hush@[::1"}, "host or port cannot be read"),
        ({"host": 5}, "a host that is not a text"),
        ({"host": ""}, "a host that is not a text"),
        ({"path": ["/s"]}, "a path that is not a text"),
        ({"host": "h", "port": 99999}, "a port that is not a number from 1 to 65535"),
        ({"host": "h", "port": "hush"}, "a port that is not"),
        ({"host": "h", "port": True}, "a port that is not"),
        ({"host": "h", "port": None}, "a port that is not"),
        ({"host": "h", "port": 0}, "a port that is not"),
        ({"host": "h", "port": "9" * 5000}, "a port that is not"),
        ({"master_name": "m"}, "no sentinels"),
        ({"master_name": "m", "sentinels": []}, "no sentinels"),
        ({"sentinels": [["h", 1]]}, "no 'master_name'"),
        ({**SENTINELS, "master_name": 5}, "a master_name that is not a text"),
        ({**SENTINELS, "sentinels": "h:1"}, "not pairs"),
        ({**SENTINELS, "sentinels": ["h:1"]}, "not pairs"),
        ({**SENTINELS, "sentinels": {"h": 1}}, "not pairs"),
        ({**SENTINELS, "sentinels": [["h", 1, 2]]}, "not pairs"),
        ({**SENTINELS, "sentinels": [["h", "port"]]}, "not a host and a port"),
        ({**SENTINELS, "sentinels": [[5, 1]]}, "not a host and a port"),
    ],
)
def test_a_host_that_nobody_can_dial_is_refused_without_its_password(
    connection: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(HostListInvalid, match=f"here .*{complaint}") as caught:
        check_connection(connection, "here")
    assert "hush" not in str(caught.value)
