"""The notices of the last minute, found by whom they are about.

A notice may come between the query for a user and the entry of the connection: it has to hold for that one too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from realtime_gateway.auth.notices import Notice


class Remembered:
    """Notices, each for a time.

    Args:
        seconds: how long one is kept.
        at_most: how many users and credentials are kept; the oldest go.
    """

    def __init__(self, seconds: float, at_most: int) -> None:
        self._seconds = seconds
        self._at_most = at_most
        self._kept = 0
        self._in_order: deque[tuple[float, Notice]] = deque()
        self._by_key: dict[str, deque[tuple[float, Notice]]] = {}

    def add(self, now: float, heard_at: float, notice: Notice) -> None:
        """Keep a notice, which is of an earlier time where it was held up on its way."""
        entry = (heard_at, notice)
        self._in_order.append((now, notice))
        for key in notice.about():
            self._by_key.setdefault(key, deque()).append(entry)
            self._kept += 1
        while self._in_order and (self._kept > self._at_most or self._in_order[0][0] < now - self._seconds):
            self._forget(self._in_order.popleft()[1])

    def about(self, keys: Iterable[str]) -> Iterator[tuple[float, Notice]]:
        """Return the notices about any of the keys, with their times; one may come twice."""
        for key in keys:
            yield from tuple(self._by_key.get(key, ()))

    def _forget(self, notice: Notice) -> None:
        for key in notice.about():
            self._kept -= 1
            kept = self._by_key[key]
            kept.popleft()  # the oldest in all is the oldest of each of its keys
            if not kept:
                del self._by_key[key]
