"""What a channel has, within a bound."""

from __future__ import annotations

import asyncio
from typing import Any

SOON = 5  # seconds


async def soon(layer: Any, channel: str, seconds: float = SOON) -> dict[str, Any]:
    async with asyncio.timeout(seconds):
        message: dict[str, Any] = await layer.receive(channel)
        return message


async def nothing(layer: Any, channel: str, *, within: float = 0.1) -> bool:
    """Whether nothing waits in a channel; used after something else has shown that everything has arrived."""
    try:
        async with asyncio.timeout(within):
            await layer.receive(channel)
    except TimeoutError:
        return True
    return False
