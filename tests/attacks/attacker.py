"""An attacker in a process of its own: `python -m tests.attacks.attacker KIND URL`, until it is ended.

It shares no event loop with those who are measured meanwhile. Bounded: it stops by itself after a while.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

SECONDS = 60
AT_ONCE = 10
ADDRESS = "10.66.6.6"


async def messages(url: str) -> None:
    """Send without a pause, and come back when closed."""
    with suppress(ConnectionClosed, InvalidStatus, OSError):
        async with connect(url, origin="http://shop.test", proxy=None) as socket:  # type: ignore[arg-type]
            while True:
                await socket.send('"flood"')


async def handshakes(url: str) -> None:
    """Connect, whatever the answer is."""
    with suppress(ConnectionClosed, InvalidStatus, OSError):
        headers = {"X-Forwarded-For": ADDRESS}
        async with connect(
            url,
            origin="http://shop.test",  # type: ignore[arg-type]
            proxy=None,
            additional_headers=headers,
        ):
            pass


KINDS: dict[str, Callable[[str], Awaitable[None]]] = {"messages": messages, "handshakes": handshakes}


async def attack(kind: str, url: str) -> None:
    """Do it again and again, several at once."""

    async def again_and_again() -> None:
        while True:
            await KINDS[kind](url)
            await asyncio.sleep(0)

    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(again_and_again())


if __name__ == "__main__":
    asyncio.run(attack(sys.argv[1], sys.argv[2]))
