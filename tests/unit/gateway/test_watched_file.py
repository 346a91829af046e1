"""Files that are replaced while a process runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.support.replaced_file import put

from realtime_gateway.watched_file import WatchedFile


def test_content_is_returned_until_it_is_taken_and_again_when_it_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    put(path, "one")
    file = WatchedFile(path)
    assert [file.look(), file.look()] == [b"one", b"one"]
    file.take()
    assert file.look() is None
    put(path, "two")
    assert file.look() == b"two"


def test_a_mounted_secret_whose_link_is_swapped_is_another_file(tmp_path: Path) -> None:
    for name in ("..first", "..second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(name)
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "key").symlink_to("..data/key")
    file = WatchedFile(tmp_path / "key")
    assert file.look() == b"..first"
    file.take()
    (tmp_path / "..data_tmp").symlink_to("..second")
    os.replace(tmp_path / "..data_tmp", tmp_path / "..data")
    assert file.look() == b"..second"


def test_what_is_put_there_while_it_is_read_is_seen_at_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "file"
    put(path, "one")
    file = WatchedFile(path)
    file.look()
    put(path, "two")
    file.take()
    assert file.look() == b"two"


def test_a_file_that_is_missing_raises_and_is_read_when_it_is_back(tmp_path: Path) -> None:
    file = WatchedFile(tmp_path / "file")
    with pytest.raises(FileNotFoundError):
        file.look()
    put(tmp_path / "file", "one")
    assert file.look() == b"one"
