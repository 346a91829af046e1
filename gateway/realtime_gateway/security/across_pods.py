"""What pods have to know of each other for a limit over all of them: asked through abilities of the channel layer.

This project's layer has them. Behind any other, and while it fails, each process keeps to the limits alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from math import inf
from typing import Any
from weakref import WeakSet

from channels.layers import get_channel_layer

from realtime_gateway.security.token_bucket import TokenBuckets

logger = logging.getLogger("realtime_gateway.security")

LOG_PERIOD_SECONDS = 60.0


class AcrossPods:
    """Asks the channel layer, or answers alone.

    Who receives has the layer's connections on his loop. A limit is asked about before anybody receives here, and so
    makes a channel once; otherwise a thread of the layer's would have them first, and hand them over while it is asked.
    """

    def __init__(self) -> None:
        self._alone = TokenBuckets()
        self._said_at = -inf
        self._bound: WeakSet[Any] = WeakSet()  # layers whose connections were brought to this loop

    async def take_tokens(self, key: str, rate: tuple[float, int], wanted: int, now: float) -> tuple[int, float]:
        """Take tokens out of a shared bucket.

        Args:
            key: the bucket's name.
            rate: tokens a second, and how many fit.
            wanted: how many, or as many as there are.
            now: by the loop's clock.

        Returns:
            tuple: how many are taken; in how many seconds there is another one.
        """
        answer = await self._ask("take_tokens", now, key, *rate, wanted)
        if answer is None:
            return self._alone.take(key, rate, wanted, now)
        return answer.granted, answer.wait_seconds

    async def hold_places(self, key: str, count: int, most: int, now: float) -> bool:
        """Hold ``count`` places of ``most`` over all processes, until something else is said, or nothing for long."""
        answer = await self._ask("hold_places", now, key, count, most)
        return bool(answer.granted) if answer is not None else not most or count <= most

    async def keep_places(self, keys: Collection[str], count: Callable[[str], int], now: float) -> None:
        """Say how many places are held of each key, whatever others hold of them; 0 lets go."""
        await self._ask("keep_places", now, keys, count)

    async def _ask(self, ability: str, now: float, *given: Any) -> Any:
        layer = get_channel_layer()
        ask = getattr(layer, ability, None)
        if ask is None:
            self._say(now, "the channel layer cannot share limits")
            return None
        try:
            if layer not in self._bound:
                await layer.forget(await layer.new_channel("limits"))
                self._bound.add(layer)
            return await ask(*given)
        except Exception as error:
            self._say(now, f"the channel layer failed: {error}")
            return None

    def _say(self, now: float, why: str) -> None:
        if now - self._said_at >= LOG_PERIOD_SECONDS:
            self._said_at = now
            logger.warning("Limits over all pods hold in this process alone: %s", why)
