"""One browser for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.chromium import ARGUMENTS, CHROMIUM

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
# What is waited for comes at once on an idle machine, and late on one whose cores are all taken.
playwright_api.expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()
