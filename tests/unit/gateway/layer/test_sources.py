from __future__ import annotations

from pathlib import Path

import pytest

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.options import read_options
from realtime_gateway.layer.sources import choose_hosts, choose_options


def test_a_file_that_is_missing_stops_the_start_with_its_path(tmp_path: Path) -> None:
    environment = read_environment({"REALTIME_GATEWAY_CONFIG": str(tmp_path / "missing.json")})
    with pytest.raises(HostListInvalid, match=r"missing\.json cannot be read"):
        choose_hosts(read_options({}), environment)


def test_a_file_that_is_no_text_stops_the_start_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(HostListInvalid, match=r"hosts\.json: not a JSON document"):
        choose_hosts(read_options({}), read_environment({"REALTIME_GATEWAY_CONFIG": str(path)}))


def test_a_file_that_is_no_host_list_stops_the_start_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "hosts.json"
    path.write_text('{"epoch": 1, "shards": []}')
    with pytest.raises(HostListInvalid, match=r"hosts\.json: The host list of epoch 1 has no shards"):
        choose_hosts(read_options({}), read_environment({"REALTIME_GATEWAY_CONFIG": str(path)}))


def test_the_file_counts_before_config_and_redis_url(tmp_path: Path) -> None:
    hosts = HostList(4, (Shard("a", 1.0, {"host": "h"}),))
    path = tmp_path / "hosts.json"
    path.write_text(hosts.to_json())
    environment = read_environment({"REALTIME_GATEWAY_CONFIG": str(path), "REDIS_URL": "redis://u"})
    assert choose_hosts(read_options({"hosts": ["redis://c"]}), environment) == hosts


def test_without_files_config_counts() -> None:
    environment = read_environment({})
    options = choose_options({"hosts": ["redis://c"], "prefix": "p"}, environment)
    assert options.prefix == "p"
    assert choose_hosts(options, environment).shards[0].connection == {"address": "redis://c"}
