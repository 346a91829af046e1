"""Who is told at once that a primary has moved: Sentinels publish it, and the resource's task wakes by it.

The look every five seconds finds the same a little later, and also what no Sentinel tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Protocol

from realtime_operator.snapshot import Address

# What Sentinel publishes when it has chosen another primary (its documentation, "Pub/Sub Messages").
CHANNEL = "+switch-master"
# A Sentinel that does not answer is tried again after this; until then the regular look does.
AGAIN_SECONDS = 5.0


class Messages(Protocol):
    """Listens to channels."""

    def messages(self, address: Address, channel: str) -> AsyncIterator[str]:
        """Yield an empty text once it listens, then each message, until the connection breaks."""


class Switchovers:
    """Subscriptions at the Sentinels of one resource.

    Args:
        wake: called for each switchover, and when a subscription stands again that may have missed one.
    """

    def __init__(self, source: Messages, wake: Callable[[], None]) -> None:
        self._source = source
        self._wake = wake
        self._tasks: dict[Address, asyncio.Task[None]] = {}

    def listen_at(self, sentinels: Iterable[Address]) -> None:
        """Listen at these Sentinels, and at no others any more."""
        wanted = set(sentinels)
        for address in set(self._tasks) - wanted:
            self._tasks.pop(address).cancel()
        for address in wanted - set(self._tasks):
            self._tasks[address] = asyncio.create_task(self._listen(address), name=f"listen at {address}")

    async def close(self) -> None:
        """End all subscriptions."""
        tasks = list(self._tasks.values())
        self.listen_at(())
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, address: Address) -> None:
        first = True
        while True:
            async for message in self._source.messages(address, CHANNEL):
                if message or not first:
                    self._wake()
                first = False
            await asyncio.sleep(AGAIN_SECONDS)
