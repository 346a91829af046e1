"""Threads for synchronous consumers: each consumer keeps to one lane, so a handler that blocks delays only its own.

Channels runs all synchronous consumers of a process in one thread, since Django's connections belong to threads and a
consumer's handlers must not run side by side. A consumer that always runs in the same thread has both, whichever of
several threads that is.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from channels.db import DatabaseSyncToAsync

from realtime_gateway.settings import gateway_settings

T = TypeVar("T")


class Lane:
    """One thread.

    Attributes:
        consumers: how many keep to it now.
    """

    def __init__(self, name: str) -> None:
        self.consumers = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"realtime-gateway-{name}")

    def leave(self) -> None:
        """One consumer less."""
        self.consumers -= 1

    def wrap(self, call: Callable[..., T]) -> Callable[..., Awaitable[T]]:
        """Return what runs ``call`` in this lane, looking after the thread's database connections as Channels does."""
        wrapped: Callable[..., Awaitable[T]] = DatabaseSyncToAsync(
            call, thread_sensitive=False, executor=self._executor
        )
        return wrapped


class Lanes:
    """All lanes of a process; made when they are needed."""

    def __init__(self) -> None:
        self._lanes: list[Lane] = []
        self._rendering: Lane | None = None

    def enter(self) -> Lane:
        """Return the lane that a new consumer keeps to: the one with the fewest."""
        wanted = gateway_settings().threads
        while len(self._lanes) < wanted:
            self._lanes.append(Lane(f"lane-{len(self._lanes)}"))
        lane = min(self._lanes[:wanted], key=lambda each: each.consumers)
        lane.consumers += 1
        return lane

    async def render(self, call: Callable[[], Any]) -> Any:
        """Run what a synchronous consumer's @fanout handler does, in a lane that no consumer blocks."""
        if self._rendering is None:
            self._rendering = Lane("rendering")
        return await self._rendering.wrap(_call)(call)

    def after_fork_in_child(self) -> None:
        """The threads are the parent's."""
        self._lanes = []
        self._rendering = None


def _call(call: Callable[[], T]) -> T:
    return call()


LANES = Lanes()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LANES.after_fork_in_child)
