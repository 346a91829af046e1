"""Hostile bytes at the frame path, for a few seconds; `make fuzz` takes longer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = 300


def test_any_bytes_in_any_pieces_have_one_meaning_and_raise_nothing():
    words = [sys.executable, "-m", "tests.fuzz.frame_path", str(EXAMPLES)]
    ran = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=110, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{EXAMPLES} streams" in ran.stdout
