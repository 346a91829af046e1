"""Which subscriptions have been asked for and not confirmed yet: a confirmation names no request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.layer.machine.actions import Subscribe, Unsubscribe


class Subscriptions:
    """Subscriptions on the links that are up."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._emit = emit
        self._unconfirmed: dict[tuple[str, str], int] = {}

    def subscribe(self, shard: str, destinations: tuple[str, ...]) -> None:
        """Ask for the messages of destinations."""
        for destination in destinations:
            key = (shard, destination)
            self._unconfirmed[key] = self._unconfirmed.get(key, 0) + 1
        self._emit(Subscribe(shard, destinations))

    def unsubscribe(self, shard: str, destination: str) -> None:
        """Give a subscription up."""
        self._emit(Unsubscribe(shard, (destination,)))

    def confirmed(self, shard: str, destination: str) -> bool:
        """Take a confirmation; whether it is that of the newest request."""
        key = (shard, destination)
        outstanding = self._unconfirmed.get(key, 0) - 1
        if outstanding > 0:
            self._unconfirmed[key] = outstanding
            return False
        self._unconfirmed.pop(key, None)
        return True

    def link_down(self, shard: str) -> None:
        """Nothing that was asked for on the link will be confirmed."""
        for key in [key for key in self._unconfirmed if key[0] == shard]:
            del self._unconfirmed[key]
