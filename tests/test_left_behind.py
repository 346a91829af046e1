"""The check that every test module gets, for processes that end while it looks."""

from __future__ import annotations

import subprocess
import sys

import psutil

from tests.conftest import _described
from tests.support.conditions import wait_until


def test_a_process_that_has_ended_is_not_left_behind() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        seen = psutil.Process(child.pid)
        assert _described(seen)
        child.communicate(b"\n")
        assert _described(seen) == ""


def test_a_process_whose_end_nobody_has_read_yet_does_not_break_the_check() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        seen = psutil.Process(child.pid)
        wait_until(lambda: seen.status() == psutil.STATUS_ZOMBIE)
        assert _described(seen) == ""
