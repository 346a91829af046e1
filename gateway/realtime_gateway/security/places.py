"""How many connections a user or an address has, over all pods: each process says how many it holds, again and again.

A process that is killed says nothing more, and what it held is free after the layer's HOLD_SECONDS. Nobody has to clean
up after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context
from itertools import islice, takewhile

from realtime_gateway.security.across_pods import AcrossPods

# A third of the time for which the layer keeps what it was told: two may be lost.
RENEW_SECONDS = 10.0
# In a period everything is said in so many parts, so that many keys hold up nobody's messages.
PARTS = 20
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
        self._said_at: dict[str, float] = {}  # what others may count, and since when, the oldest first
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
            self._note_said(key)
            self._begin()
        else:
            self._one_less(key)
            self._say_soon(key)  # somebody who asked at the same time may have counted this one
        return granted

    def leave(self, key: str) -> None:
        """Give a place back."""
        self._one_less(key)
        self._say_soon(key)

    def _one_less(self, key: str) -> None:
        self._held[key] -= 1
        if not self._held[key]:
            del self._held[key]

    def _note_said(self, key: str) -> None:
        self._said_at.pop(key, None)
        self._said_at[key] = self._loop.time()

    def _say_soon(self, key: str) -> None:
        self._left.add(key)
        self._wake.set()
        self._begin()

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            # In a context of its own: the traces of whoever connects first must not go on in here.
            self._task = self._loop.create_task(self._keep_up(), name="realtime_gateway.places", context=Context())

    async def _keep_up(self) -> None:
        due = self._loop.time() + RENEW_SECONDS / PARTS
        while self._said_at or self._left:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            await self._say(self._take_left())
            # Whatever woke it: where connections come and go all the time, no wait lasts until it is due.
            now = self._loop.time()
            if now >= due:
                due = now + RENEW_SECONDS / PARTS
                await self._say(self._to_renew(now))

    def _take_left(self) -> list[str]:
        left, self._left = list(self._left), set()
        self._wake.clear()
        return left

    def _to_renew(self, now: float) -> list[str]:
        """Return the part whose turn it is, and what is late already."""
        part = -(-len(self._said_at) // PARTS)
        late = takewhile(lambda said: now - said[1] >= RENEW_SECONDS, self._said_at.items())
        return list(islice(self._said_at, max(part, sum(1 for _ in late))))

    async def _say(self, keys: Iterable[str]) -> None:
        keys = iter(keys)
        while some := list(islice(keys, _AT_ONCE)):
            for key in some:
                if key in self._held:
                    self._note_said(key)
                else:
                    self._said_at.pop(key, None)
            await self._pods.keep_places(some, self._count, self._loop.time())

    def _count(self, key: str) -> int:
        return self._held.get(key, 0)
