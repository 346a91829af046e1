"""A headless Chromium, and pictures of what it shows, which are left in tests/artefacts/."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

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


def take_pictures(page: Any, name: str, *, whole: bool = False) -> None:
    """Picture a page, wide and as on a phone, where it must not scroll sideways; ``whole`` is more than the window."""
    ARTEFACTS.mkdir(exist_ok=True)
    for suffix, viewport in (("wide", WIDE), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        page.screenshot(path=ARTEFACTS / f"{name}-{suffix}.png", full_page=whole)
        too_wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
        assert not too_wide, f"{name} scrolls sideways at {viewport['width']} pixels"
    page.set_viewport_size(WIDE)
