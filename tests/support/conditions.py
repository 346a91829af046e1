"""Waiting for a condition with a deadline, in place of sleeping and hoping."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

POLL_SECONDS = 0.02


async def until(condition: Callable[[], object], seconds: float = 10.0, poll_seconds: float = POLL_SECONDS) -> None:
    """Wait until ``condition()`` is true; fail when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if condition():
            return
        assert time.monotonic() < deadline, f"not within {seconds} s"
        await asyncio.sleep(poll_seconds)


def wait_until(
    condition: Callable[[], object],
    seconds: float = 10.0,
    poll_seconds: float = POLL_SECONDS,
    *,
    seen: Callable[[], object] = str,
) -> None:
    """The same, for code that is not asynchronous; a failure tells what ``seen`` returns."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {seen()}"
        time.sleep(poll_seconds)
