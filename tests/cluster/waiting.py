"""Waiting for what kubectl is asked about: each question is a process, and too many of them starve the cluster."""

from __future__ import annotations

from collections.abc import Callable

from tests.support import conditions

POLL_SECONDS = 0.2


async def until(condition: Callable[[], object], seconds: float) -> None:
    """Wait until ``condition()`` is true; fail when it is not within ``seconds``."""
    await conditions.until(condition, seconds, POLL_SECONDS)


def wait_until(condition: Callable[[], object], seconds: float) -> None:
    """The same, for code that is not asynchronous."""
    conditions.wait_until(condition, seconds, POLL_SECONDS)
