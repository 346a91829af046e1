"""How many connections a user or an address has, over all pods: each process says how many it holds, again and again.

A process that is killed says nothing more, and what it held is free after the layer's HOLD_SECONDS. Nobody has to clean
up after it.
"""

from __future__ import annotations

import asyncio
from contextvars import Context

from realtime_gateway.security.across_pods import AcrossPods

# A third of the time for which the layer keeps what it was told: two may be lost.
RENEW_SECONDS = 10.0
_AT_ONCE = 100


class Places:
    """What one event loop's connections hold.

    Args:
        pods: who else is asked.
    """

    def __init__(self, pods: AcrossPods) -> None:
        self._pods = pods
        self._loop = asyncio.get_running_loop()
        self._held: dict[str, int] = {}
        self._left: set[str] = set()  # keys of which fewer are held than may have been said
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def take(self, key: str, most: int) -> bool:
        """Take a place of ``most`` over all pods, to be given back with ``leave``; False where there is none."""
        # Counted before it is asked for: two that ask at the same time must not both get the last one.
        self._held[key] = count = self._held.get(key, 0) + 1
        try:
            granted = await self._pods.hold_places(key, count, most, self._loop.time())
        except BaseException:
            self.leave(key)
            raise
        if granted:
            self._begin()
        elif self._one_less(key):
            self._say_soon(key)  # somebody who asked at the same time may have counted this one
        return granted

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._one_less(key)
        self._say_soon(key)

    def _one_less(self, key: str) -> bool:
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]
        return key in self._held

    def _say_soon(self, key: str) -> None:
        self._left.add(key)
        self._wake.set()
        self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            # In a context of its own: the traces of whoever connects first must not go on in here.
            self._task = self._loop.create_task(self._keep_up(), name="realtime_gateway.places", context=Context())

    async def _keep_up(self) -> None:
        due = self._loop.time() + RENEW_SECONDS
        while self._held or self._left:
            try:
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
                keys = self._take_left()
            except TimeoutError:
                due = self._loop.time() + RENEW_SECONDS
                keys = list(self._held)
            for start in range(0, len(keys), _AT_ONCE):
                await self._say(keys[start : start + _AT_ONCE])

    def _take_left(self) -> list[str]:
        left, self._left = list(self._left), set()
        self._wake.clear()
        return left

    async def _say(self, keys: list[str]) -> None:
        now = self._loop.time()
        await asyncio.gather(*(self._pods.hold_places(key, self._held.get(key, 0), 0, now) for key in keys))
