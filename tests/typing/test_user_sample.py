"""The package is typed for its users: a sample project passes mypy, and a mistake in it does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.server_process import PYTHON

SAMPLE = Path(__file__).with_name("user_sample.py")


# A user's configuration, not ours: the package is found where it is installed, by its py.typed.
CONFIGURATION = """
[mypy]
strict = true
[mypy-channels.*]
ignore_missing_imports = true
"""


def test_a_users_project_passes_strict_mypy_and_a_mistake_in_it_does_not(tmp_path: Path) -> None:
    configuration = tmp_path / "mypy.ini"
    configuration.write_text(CONFIGURATION)
    right, wrong = tmp_path / "right_sample.py", tmp_path / "wrong_sample.py"
    right.write_text(SAMPLE.read_text())
    wrong.write_text(SAMPLE.read_text().replace("origins=origins", "origin=origins"))
    command = [PYTHON, "-m", "mypy", "--config-file", str(configuration), str(right), str(wrong)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=110)
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout + done.stderr
    assert errors[0].startswith("wrong_sample.py")
    assert 'Unexpected keyword argument "origin"' in errors[0]
