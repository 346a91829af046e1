"""Two things in one turn of the event loop, which a server that runs long enough meets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def served(applications: Path, kind: str) -> str:
    """Run a server until it ends in order; return what it said."""
    words = [sys.executable, str(applications / "same_turn.py"), kind]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.stdout


def test_a_signal_in_the_turn_in_which_start_up_ends_comes_first(applications):
    said = served(applications, "signal")
    assert "accepts in phase not ready" in said
    assert "accepts in phase serving" not in said


def test_a_run_that_ends_by_itself_as_it_is_cut_leaves_the_rest_of_the_drain_to_be_done(applications):
    said = served(applications, "run")
    assert "runs to cut: 1" in said
    assert "shut down" in said
