"""A headless Chromium, and pictures of what it shows, which are left in tests/artefacts/."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.redis_process import redis_server_program

ARTEFACTS = Path(__file__).parents[1] / "artefacts"
CHROMIUM = shutil.which("chromium")
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)")
NEEDS_CHROMIUM_AND_REDIS = [
    NEEDS_CHROMIUM,
    pytest.mark.skipif(redis_server_program() is None, reason="no redis-server"),
]


@contextmanager
def uncomplaining_page(browser: Any, **options: Any) -> Iterator[Any]:
    """A page in a context of its own, with these options; fails for whatever it, or its policy, complains of."""
    context = browser.new_context(**options)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
    try:
        yield page
    finally:
        context.close()
    assert not complaints


def take_pictures(page: Any, name: str, *, whole: bool = False) -> None:
    """Picture a page, wide and as on a phone, where it must not scroll sideways; ``whole`` is more than the window."""
    ARTEFACTS.mkdir(exist_ok=True)
    for suffix, viewport in (("wide", WIDE), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        page.screenshot(path=ARTEFACTS / f"{name}-{suffix}.png", full_page=whole)
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not too_wide, f"{name} scrolls sideways at {viewport['width']} pixels"
    page.set_viewport_size(WIDE)
