"""One server for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.serve_process import ServeProcess

APPLICATIONS = Path(__file__).parent / "applications"


@pytest.fixture(scope="module")
def server() -> Iterator[ServeProcess]:
    with ServeProcess("conversations:application", directory=APPLICATIONS) as running:
        yield running


@pytest.fixture
def applications() -> Path:
    return APPLICATIONS
