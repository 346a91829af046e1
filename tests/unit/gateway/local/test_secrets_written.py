"""The secrets of a run as files, and the passwords of external shards in their URLs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.local.plan import Plan
from realtime_gateway.local.secrets_written import WrittenSecrets, shard_urls, with_password
from realtime_gateway.local.state_directory import StateDirectory


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[StateDirectory]:
    taken = StateDirectory.take(tmp_path / "run")
    yield taken
    taken.remove()


def test_files_and_their_directories_are_this_users_alone(directory: StateDirectory) -> None:
    path = directory.path / "secrets"
    WrittenSecrets(directory, path).write({"jwt-key": b"k", "redis/a": b"p"})
    assert {str(file.relative_to(path)): file.stat().st_mode & 0o777 for file in path.rglob("*")} == {
        "jwt-key": 0o600,
        "redis": 0o700,
        "redis/a": 0o600,
    }


def test_only_what_has_changed_is_written_anew_and_what_is_not_wanted_is_removed(directory: StateDirectory) -> None:
    path = directory.path / "secrets"
    secrets = WrittenSecrets(directory, path)
    assert secrets.write({"jwt-key": b"k", "redis/a": b"p"})
    before = (path / "jwt-key").stat()
    assert not secrets.write({"jwt-key": b"k"})
    assert secrets.write({"jwt-key": b"k", "redis/a": b"q"})
    assert (path / "jwt-key").stat() == before
    assert (path / "redis" / "a").read_bytes() == b"q"
    secrets.keep({"jwt-key": b"k"})
    assert not (path / "redis" / "a").exists()
    assert secrets.contents == {"jwt-key": b"k"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://:p%2F%40w@h:1/0"),
        ("redis://u@h:1/0", "redis://u:p%2F%40w@h:1/0"),
        ("redis://u:own@h:1/0", "redis://u:own@h:1/0"),
        ("rediss://[::1]:1", "rediss://:p%2F%40w@[::1]:1"),
    ],
)
def test_a_password_goes_into_a_url_that_has_none(url: str, shown: str) -> None:
    assert with_password(url, b"p/@w\n") == shown
    assert with_password(url, None) == url


def test_external_shards_are_asked_with_their_passwords() -> None:
    shards = (Shard("a", 1.0, {"host": "h", "port": 1, "username": "u"}), Shard("b", 1.0, {"address": "redis://b"}))
    plan = Plan(HostList(1, shards), ())
    assert shard_urls(plan, {"redis/a": b"p"}) == ("redis://u:p@h:1/0", "redis://b")


def test_a_password_that_is_no_text_is_refused_by_its_place_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"password of h:1 cannot be used: it is no text in UTF-8") as raised:
        with_password("redis://u@h:1/0", b"\xff\x00")
    assert "xff" not in str(raised.value)
