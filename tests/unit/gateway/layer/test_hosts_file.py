from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from tests.support.replaced_file import put

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.hosts_file import HostsFile

ONE, TWO = (HostList(epoch, (Shard("a", 1.0, {"host": "h"}),)) for epoch in (1, 2))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    put(tmp_path / "hosts.json", ONE.to_json())
    return tmp_path / "hosts.json"


def test_a_file_is_read_at_the_first_look_and_again_when_it_has_been_replaced(path: Path) -> None:
    file = HostsFile(path)
    assert file.look() == ONE
    assert file.look() is None
    put(path, TWO.to_json())
    assert file.look() == TWO
    assert file.look() is None


def test_a_config_map_that_swaps_the_link_in_its_path_is_another_file(tmp_path: Path) -> None:
    for name, hosts in (("..first", ONE), ("..second", TWO)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hosts.json").write_text(hosts.to_json())
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "hosts.json").symlink_to("..data/hosts.json")
    file = HostsFile(tmp_path / "hosts.json")
    assert file.look() == ONE
    (tmp_path / "..data_tmp").symlink_to("..second")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert file.look() == TWO


@pytest.mark.parametrize(
    "content",
    [
        "", '{"epoch": 2, "shar', '{"epoch": 2, "shards": []}', "null",
        '{"epoch": 1764160000000, "shards": [{"name": "a", "host": "h"}]}',
        '{"epoch": 2, "shards": [{"name": "a", "master_name": "m", "sentinel": [["h", 1]]}]}',
        '{"epoch": 2, "shards": [{"name": "a", "address": ["redis://h"]}]}',
        '{"epoch": 2, "shards": [{"name": "a\\ud800", "host": "h"}]}',
    ],
)  # fmt: skip
def test_a_broken_file_is_told_of_once_and_read_when_it_is_whole(
    path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = HostsFile(path)
    file.look()
    path.write_text(content)
    assert [file.look(), file.look()] == [None, None]
    assert [(record.levelno, str(path) in record.message) for record in caplog.records] == [(logging.WARNING, True)]
    path.write_text(TWO.to_json())
    assert file.look() == TWO


def test_a_file_that_is_gone_is_told_of_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = HostsFile(path)
    path.unlink()
    assert [file.look(), file.look()] == [None, None]
    assert caplog.messages == [f"{path} cannot be read: No such file or directory. The host list in use stays."]


def test_without_a_path_there_is_nothing_to_look_at() -> None:
    assert HostsFile(None).look() is None


def test_many_different_complaints_take_no_more_room_than_a_hundred(path: Path) -> None:
    file = HostsFile(path)
    for number in range(250):
        file.refused(f"complaint {number}")
    assert len(file._told) <= 100
