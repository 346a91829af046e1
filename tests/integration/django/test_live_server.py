"""The live server test case, and Channels' communicators, as a project's own test run uses them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.conditions import wait_until
from tests.support.example_project import DIRECTORY, ROOT
from tests.support.redis_process import RedisProcess
from tests.support.server_process import PYTHON

CASES = "tests.integration.django.live_server_cases"


@pytest.fixture(scope="module")
def shards() -> Iterator[str]:
    with RedisProcess() as one, RedisProcess() as two:
        yield f"{one.url},{two.url}"


def django_test(cases: list[str], shards: str, database: Path | str) -> subprocess.CompletedProcess[str]:
    environment = {
        "DJANGO_SETTINGS_MODULE": "tests.integration.django.live_server_settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(DIRECTORY)]),
        "REDIS_URL": shards,
        "TEST_DATABASE": str(database),
    }
    return subprocess.run(
        [PYTHON, "-m", "django", "test", "--noinput", *(f"{CASES}.{case}" for case in cases)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_users_tests_pass(shards: str, tmp_path: Path) -> None:
    done = django_test(["OverRedis", "InMemory", "Communicators"], shards, tmp_path / "test.sqlite3")
    assert done.returncode == 0, done.stderr
    assert "Ran 5 tests" in done.stderr


def test_a_server_that_does_not_start_fails_the_class_with_its_own_message(shards: str, tmp_path: Path) -> None:
    done = django_test(["NotInTime"], shards, tmp_path / "test.sqlite3")
    assert done.returncode != 0
    assert "No module named 'no'" in done.stderr
    assert "The live server ended before it was ready." in done.stderr


def test_a_database_in_memory_is_refused_with_what_to_write(shards: str) -> None:
    done = django_test(["InMemory"], shards, ":memory:")
    assert done.returncode != 0
    assert '["TEST"] = {"NAME": "test.sqlite3"}' in done.stderr


def test_the_server_does_not_outlive_tests_that_are_killed(shards: str, tmp_path: Path) -> None:
    done = django_test(["Killed"], shards, tmp_path / "test.sqlite3")
    found = re.search(r"server (\d+)", done.stdout)
    assert found, done.stderr

    def gone() -> bool:
        try:
            return psutil.Process(int(found[1])).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    wait_until(gone, 20)
