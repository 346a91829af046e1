import os
import stat
from pathlib import Path

import pytest

from realtime_gateway.errors import StartError
from realtime_gateway.local.state_directory import LOCK, StateDirectory


def test_it_is_for_this_user_alone_and_gone_at_the_end(tmp_path: Path):
    directory = StateDirectory.take(tmp_path / ".realtime-gateway" / "chat")
    directory.write(directory.path / "hosts.json", "{}")
    assert stat.S_IMODE(directory.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory.path / "hosts.json").stat().st_mode) == 0o600
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def test_the_directory_above_stays_when_it_is_somebody_elses(tmp_path: Path):
    StateDirectory.take(tmp_path / "above" / "chat").remove()
    assert list(tmp_path.iterdir()) == [tmp_path / "above"]


def test_two_runs_cannot_have_the_same_one(tmp_path: Path):
    directory = StateDirectory.take(tmp_path / "chat")
    with pytest.raises(StartError, match=rf"in use by another `realtime-gateway up` \(process {os.getpid()}\)"):
        StateDirectory.take(tmp_path / "chat")
    directory.remove()
    StateDirectory.take(tmp_path / "chat").remove()


def test_what_a_killed_run_left_is_removed(tmp_path: Path):
    left = StateDirectory.take(tmp_path / "chat")
    left.write(left.path / "chat-redis-0-0" / "dump.rdb", b"\0")
    left.write(left.path / "hosts.json", "old")
    os.close(left.lock)
    directory = StateDirectory.take(tmp_path / "chat")
    assert [path.name for path in directory.path.iterdir()] == [LOCK]
    directory.remove()


def test_a_link_in_it_is_removed_and_not_followed(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("a cat")
    left = StateDirectory.take(tmp_path / "chat")
    (left.path / "link").symlink_to(tmp_path / "photos")
    os.close(left.lock)
    StateDirectory.take(tmp_path / "chat").remove()
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_directory_with_foreign_files_is_refused(tmp_path: Path):
    (tmp_path / "cat.jpg").write_text("a cat")
    with pytest.raises(StartError, match="not of an earlier run"):
        StateDirectory.take(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["cat.jpg"]


def test_a_file_is_no_directory(tmp_path: Path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    with pytest.raises(StartError, match=r"notes\.txt is not a directory\. Name another one with --directory"):
        StateDirectory.take(file)
    assert file.read_text() == "mine"


def test_a_directory_with_another_programs_lock_is_refused_too(tmp_path: Path):
    (tmp_path / "lock").touch()
    (tmp_path / "cat.jpg").write_text("a cat")
    with pytest.raises(StartError, match="not of an earlier run"):
        StateDirectory.take(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"cat.jpg", "lock"}


def test_a_file_is_replaced_in_one_step(tmp_path: Path):
    directory = StateDirectory.take(tmp_path / "chat")
    file = directory.path / "resource.yaml"
    directory.write(file, "one")
    with file.open() as reader:
        directory.write(file, "two")
        assert reader.read() == "one"
    assert file.read_text() == "two"
    directory.remove()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="file"):
        StateDirectory.take(tmp_path / "file" / "chat")
