"""A WebSocket's request means the same with and without an HTTP channel; `make fuzz` takes longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = 150


def test_a_request_means_the_same_in_one_piece_and_in_two():
    words = [sys.executable, "-m", "tests.fuzz.first_read", str(EXAMPLES)]
    ran = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=170, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{EXAMPLES} ordinary requests" in ran.stdout
