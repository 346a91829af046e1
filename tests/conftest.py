"""What every test gets: a check that it left no process behind; and what they measured, at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from tests.support import figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures: pytest shows nothing of what a test that passes has written."""
    if lines := figures.shown():
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.fixture(autouse=True, scope="module")
def no_process_left_behind() -> Iterator[None]:
    """Each module ends every process that it started."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    described = [found for child in left if (found := _described(child))]
    for child in left:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    assert not described, f"left running: {described}"


def _described(child: psutil.Process) -> str:
    """Return what a process runs; nothing for one that has ended, even between two questions."""
    try:
        return f"{child.pid} {' '.join(child.cmdline())}" if child.is_running() else ""
    except psutil.NoSuchProcess:
        return ""
