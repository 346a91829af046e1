"""Pure. Whether a client takes what is sent to it: one look now and then, at a mark that moves when it does.

A client that reads slowly is waited for; one that does not read would hold its connection, and what waits for it, as
long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable

from realtime_gateway.server.wheel import Wheel


class StallWatch:
    """Looks for as long as it is not cancelled.

    Attributes:
        is_over: whether it looks no more, for whichever reason.

    Args:
        wheel: the server's.
        seconds: from one look to the next; a client that has stalled is found after one to two of them.
        mark: what differs when the client has taken something since; None where nothing is left to take, and the
            watch is over.
        stalled: called once, when it has not.
    """

    __slots__ = ("_mark", "_seconds", "_seen", "_stalled", "_turn", "_wheel", "is_over")

    def __init__(self, wheel: Wheel, seconds: float, mark: Callable[[], object], stalled: Callable[[], object]) -> None:
        self._wheel = wheel
        self._seconds = seconds
        self._mark = mark
        self._stalled = stalled
        self._seen = mark()
        self.is_over = False
        self._turn = wheel.call_later(seconds, self._look)

    def cancel(self) -> None:
        """Look no more."""
        self.is_over = True
        self._turn.cancel()

    def _look(self) -> None:
        seen, self._seen = self._seen, self._mark()
        if self._seen is None:
            self.is_over = True
        elif self._seen == seen:
            self.is_over = True
            self._stalled()
        else:
            self._turn = self._wheel.call_later(self._seconds, self._look)
