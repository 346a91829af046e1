"""What every test gets: a check that it left no process behind."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest


@pytest.fixture(autouse=True, scope="module")
def no_process_left_behind() -> Iterator[None]:
    """Each module ends every process that it started."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    described = [f"{child.pid} {' '.join(child.cmdline())}" for child in left if child.is_running()]
    for child in left:
        child.kill()
    assert not described, f"left running: {described}"
