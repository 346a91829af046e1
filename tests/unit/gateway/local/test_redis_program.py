import shutil
import stat
from pathlib import Path

import pytest

from realtime_gateway.errors import StartError
from realtime_gateway.local import redis_program
from realtime_gateway.local.redis_program import find_redis_server


def program(directory: Path, line: str) -> Path:
    directory.mkdir()
    path = directory / "redis-server"
    path.write_text(f"#!{shutil.which('sh')}\n{line}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def nothing_embedded(monkeypatch):
    monkeypatch.setattr(redis_program, "embedded_program", lambda: None)


@pytest.mark.usefixtures("nothing_embedded")
@pytest.mark.parametrize(
    "line",
    ["echo Redis server v=5.0.14 sha=0:0", "echo nothing of the kind", "exit 1"],
    ids=["too old", "something else", "broken"],
)
def test_a_program_that_will_not_do_counts_as_none(tmp_path: Path, monkeypatch, line: str):
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin", line).parent))
    with pytest.raises(StartError) as error:
        find_redis_server()
    assert "apt-get install redis-server" in error.value.remedy


def test_the_systems_own_comes_first(tmp_path: Path, monkeypatch):
    found = program(tmp_path / "bin", "echo Redis server v=7.2.4 sha=0:0 malloc=libc bits=64")
    monkeypatch.setenv("PATH", str(found.parent))
    assert find_redis_server() == str(found)


def test_an_old_one_of_the_system_gives_way_to_theembedded_program_one(tmp_path: Path, monkeypatch):
    old = program(tmp_path / "old", "echo Redis server v=4.0.1")
    embedded = program(tmp_path / "embedded", "echo Redis server v=6.2.14")
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setattr(redis_program, "embedded_program", lambda: str(embedded))
    assert find_redis_server() == str(embedded)
