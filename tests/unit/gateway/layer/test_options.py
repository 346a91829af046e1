from __future__ import annotations

import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import ConfigurationError, HostListInvalid
from realtime_gateway.hosts import Shard
from realtime_gateway.layer.options import LayerOptions, describe, label, plain_hosts, read_options
from realtime_gateway.resource.cluster import SecretKey
from realtime_gateway.resource.spec import ChannelLayer

NOTHING = read_environment({})


def test_the_defaults_are_those_of_the_resource() -> None:
    options, resource = read_options({}), ChannelLayer()
    assert (options.prefix, options.expiry, options.capacity) == (
        resource.prefix, resource.expiry_seconds, resource.capacity,
    )  # fmt: skip


def test_every_option_of_both_upstream_layers_is_taken() -> None:
    given = {
        "hosts": ["redis://a"], "prefix": "p", "expiry": 1, "group_expiry": 2, "capacity": 3,
        "channel_capacity": {"a*": 1}, "symmetric_encryption_keys": ["k"], "random_prefix_length": 12,
        "serializer_format": "json", "on_disconnect": "d", "on_reconnect": "r",
    }  # fmt: skip
    options = read_options(given)
    assert {name: getattr(options, name) for name in given} == given


KEYS_IN_A_SECRET = ChannelLayer(encryption_keys_secret_ref=SecretKey("layer", "keys"))


def test_keys_of_a_secret_are_a_file_in_the_directory_of_the_process() -> None:
    assert read_options({}, KEYS_IN_A_SECRET, Path("/run/secrets")).encryption_keys_file == Path(
        "/run/secrets/encryption-keys"
    )
    with pytest.raises(ConfigurationError, match="REALTIME_GATEWAY_SECRETS"):
        read_options({}, KEYS_IN_A_SECRET)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ({"symmetric_encryption_keys": ["k"]}, (["k"], None)),
        ({"encryption_keys_file": "/own/file"}, (None, "/own/file")),
    ],
)
def test_keys_of_config_win_over_those_of_the_resource(given: dict[str, Any], used: tuple[Any, Any]) -> None:
    options = read_options(given, KEYS_IN_A_SECRET, Path("/run/secrets"))
    assert (options.symmetric_encryption_keys, options.encryption_keys_file) == used


def test_keys_and_a_file_of_keys_are_not_both_given() -> None:
    with pytest.raises(ConfigurationError, match="Give one of them"):
        read_options({"symmetric_encryption_keys": ["k"], "encryption_keys_file": "/own/file"})


def test_an_unknown_option_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(ConfigurationError, match=r"no option 'expirey'\. Did you mean 'expiry'\?"):
        read_options({"expirey": 5})
    with pytest.raises(ConfigurationError, match="It has hosts, prefix"):
        read_options({"zzz": 5})


SECONDS = ("expiry", "group_expiry", "send_timeout", "history_seconds", "replay_seconds", "key_settle_seconds")
COUNTS = ("history_messages", "capacity", "replay_bytes", "max_message_size_bytes")


@pytest.mark.parametrize("name", SECONDS + COUNTS)
@pytest.mark.parametrize("value", [0, -1, "60", None, True, math.inf, math.nan, 1e300, 10**400])
def test_an_impossible_number_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_options({name: value})


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0.5, 1e4])
def test_what_is_counted_is_a_whole_number(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} must be a whole number above 0, not {value}"):
        read_options({name: value})


@pytest.mark.parametrize("name", SECONDS)
def test_seconds_may_have_fractions_and_last_a_century(name: str) -> None:
    for value in (0.5, 3600, 3_153_600_000):
        assert getattr(read_options({name: value}), name) == value


def test_no_channel_has_a_capacity_of_its_own_where_none_is_given() -> None:
    assert read_options({"channel_capacity": None}).capacities() == []


def test_a_prefix_must_be_text() -> None:
    with pytest.raises(AssertionError, match="Prefix must be unicode"):
        read_options({"prefix": b"bytes"})


@pytest.mark.parametrize("end", ["g", "q", "group"])
def test_a_prefix_whose_keys_would_be_those_of_another_one_is_refused(end: str) -> None:
    with pytest.raises(ConfigurationError, match=f"must not end in ':{end}': a deployment with the prefix 'site' has"):
        read_options({"prefix": f"site:{end}"})
    assert read_options({"prefix": end}).prefix == end


def test_keys_are_not_in_the_repr() -> None:
    assert "hush" not in repr(read_options({"symmetric_encryption_keys": ["hush"]}))


def test_a_capacity_of_nothing_is_refused_with_its_pattern() -> None:
    with pytest.raises(ConfigurationError, match=r"channel_capacity for 'a\*' must be a whole number above 0"):
        read_options({"channel_capacity": {"a*": 0}})


@pytest.mark.parametrize("secret", ["", "too short", 5, True])
def test_names_are_hidden_with_a_secret_that_deserves_the_name(secret: Any) -> None:
    with pytest.raises(ConfigurationError, match="hide_names must be a secret of at least 16 characters"):
        read_options({"hide_names": secret})


def test_the_secret_that_hides_names_is_not_in_the_repr() -> None:
    assert "hush" not in repr(read_options({"hide_names": "hush, 16 letters long"}))


def test_globs_are_compiled_in_order_and_patterns_kept() -> None:
    pattern = re.compile("x")
    compiled = read_options({"channel_capacity": {"a*": 1, pattern: 2}}).capacities()
    assert [capacity for _, capacity in compiled] == [1, 2]
    assert compiled[0][0].match("abc")
    assert compiled[1][0] is pattern


@pytest.mark.parametrize(
    ("entry", "connection"),
    [
        ("redis://h:1/2", {"address": "redis://h:1/2"}),
        (("h", 1), {"host": "h", "port": 1}),
        (["h", 1], {"host": "h", "port": 1}),
        ({"host": "h", "port": 1, "db": 3}, {"host": "h", "port": 1, "db": 3}),
        ({"path": "/s"}, {"path": "/s"}),
        ({"sentinels": [("s", 1)], "master_name": "m"}, {"sentinels": [("s", 1)], "master_name": "m"}),
    ],
)
def test_each_form_becomes_a_shard_named_by_position(entry: Any, connection: dict[str, Any]) -> None:
    hosts = plain_hosts(["redis://first", entry], NOTHING)
    assert (hosts.epoch, hosts.shards[1].name, hosts.shards[1].connection) == (0, "1", connection)


def test_hosts_come_from_config_then_redis_url_then_the_default() -> None:
    environment = read_environment({"REDIS_URL": "redis://a,redis://b"})
    assert plain_hosts(["redis://c"], environment).shards[0].connection == {"address": "redis://c"}
    assert [shard.connection["address"] for shard in plain_hosts(None, environment).shards] == [
        "redis://a",
        "redis://b",
    ]
    assert plain_hosts([], NOTHING).shards[0].connection == {"address": "redis://localhost:6379"}


@pytest.mark.parametrize(
    ("hosts", "complaint"),
    [
        ("redis://h", "You must pass a list"),
        ([5], r"hosts\[0\] is neither"),
        (["http://h"], "begins with none of"),
        ([{"sentinels": [("s", 1)]}], "no 'master_name'"),
        ([{"master_name": "m"}], "no sentinels"),
        ([{"password": "hush"}], "says neither"),
        ([{"address": ["redis://:hush@h"]}], "begins with none of"),
        ([("h", "hush")], r"hosts\[0\] has a port"),
        ([{"name": "eu:0", "host": "h"}], "without a colon, not 'eu:0'"),
        ([{"name": "a", "weight": "1", "host": "h"}], "weight must be a number"),
        ([{"name": "a", "host": "h"}, {"name": "a", "host": "i"}], "more than once"),
    ],
)
def test_a_host_in_no_known_form_is_refused(hosts: Any, complaint: str) -> None:
    with pytest.raises(HostListInvalid, match=complaint) as caught:
        plain_hosts(hosts, NOTHING)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"address": "redis://h"}, "s"),
        ({"address": "redis://h/0"}, "s"),
        ({"address": "redis://h/3"}, "s@3"),
        ({"address": "redis://h?db=4"}, "s@4"),
        ({"address": "redis://h", "db": 5}, "s@5"),
        ({"address": "unix:///run/redis.sock"}, "s"),
        ({"host": "h", "db": 6}, "s@6"),
        ({"host": "h", "db": "06"}, "s@6"),
        ({"address": "redis://h/03"}, "s@3"),
        ({"address": "redis://h/%33/"}, "s@3"),
        ({"address": "redis://h/00"}, "s"),
        ({"address": "redis://h?db=04"}, "s@4"),
        ({"address": "redis://h/none", "db": 5}, "s@5"),
        ({"address": "redis://h/0", "db": 5}, "s"),
    ],
)
def test_the_database_is_part_of_a_shards_label(connection: dict[str, Any], expected: str) -> None:
    assert label(Shard("s", 1, connection)) == expected


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ({"address": "redis://user:hush@h:1/2"}, "redis://h:1/2"),
        ({"host": "h", "port": 1, "password": "hush"}, "h:1"),
        ({"path": "/run/s"}, "/run/s"),
        ({"sentinels": [("a", 1), ("b", 2)], "master_name": "m"}, "m by Sentinel a:1, b:2"),
    ],
)
def test_a_shard_is_described_without_its_password(connection: dict[str, Any], expected: str) -> None:
    assert describe(Shard("s", 1, connection)) == expected


def test_the_document_names_every_option_with_its_default() -> None:
    text = (Path(__file__).parents[4] / "docs/channel-layer.md").read_text()
    table = dict(
        re.findall(r"^\| `(\w+)` \| ([^|]+) \|", text.partition("## Options")[2].partition("\n## ")[0], re.MULTILINE)
    )
    shown = {name: value.removesuffix(" s").strip("`") for name, value in table.items()}
    for one in fields(LayerOptions):
        default = getattr(LayerOptions(), one.name)
        mebibytes = f"{default // 2**20} MiB" if one.name.endswith("bytes") else None
        assert shown[one.name] in (str(default), mebibytes), one.name
