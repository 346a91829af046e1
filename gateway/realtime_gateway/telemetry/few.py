"""A few in each second, and no more: which messages are traced where people look at traces as they come."""

from __future__ import annotations

from collections.abc import Callable


class Few:
    """Says yes to the first few calls of each second.

    Args:
        number: how many.
        clock: monotonic, in seconds.
    """

    __slots__ = ("_clock", "_left", "_number", "_second")

    def __init__(self, number: int, clock: Callable[[], float]) -> None:
        self._number = number
        self._clock = clock
        self._second = -1
        self._left = 0

    def __call__(self) -> bool:
        """Whether this one is among them."""
        second = int(self._clock())
        if second != self._second:
            self._second, self._left = second, self._number
        if not self._left:
            return False
        self._left -= 1
        return True
