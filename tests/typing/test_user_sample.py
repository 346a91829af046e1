"""The package is typed for its users: a sample project passes mypy, and a mistake in it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.support.server_process import PYTHON

SAMPLE = Path(__file__).with_name("user_sample.py")


# A user's configuration, not ours: the package is found where it is installed, by its py.typed.
CONFIGURATION = """
[mypy]
strict = true
[mypy-channels.*]
ignore_missing_imports = true
"""


def mypy(file: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    configuration = directory / "mypy.ini"
    configuration.write_text(CONFIGURATION)
    command = [PYTHON, "-m", "mypy", "--config-file", str(configuration), str(file)]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=110)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("typing")


def test_a_users_project_passes_strict_mypy(workplace: Path) -> None:
    done = mypy(SAMPLE, workplace)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_users_mistake_is_found(workplace: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong_sample.py"
    wrong.write_text(SAMPLE.read_text().replace("origins=origins", "origin=origins"))
    done = mypy(wrong, workplace)
    assert 'Unexpected keyword argument "origin"' in done.stdout
