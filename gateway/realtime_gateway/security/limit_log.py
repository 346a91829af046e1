"""Pure. One line per limit and period in the log, however many clients meet it; each is counted in the metrics.

A limit that is met ten thousand times a second must not fill the log with ten thousand lines, and must be named in it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from realtime_gateway.telemetry import recorder

PERIOD_SECONDS = 10.0


class LimitLog:
    """Says at once that a limit is met, and then once a period how often it was.

    Args:
        call_later: (seconds, function), of the server's wheel or the loop.
        logger: who says it.
    """

    def __init__(self, call_later: Callable[[float, Callable[[], object]], object], logger: logging.Logger) -> None:
        self._call_later = call_later
        self._logger = logger
        self._more: dict[str, int] = {}
        self._last: dict[str, str] = {}

    def met(self, limit: str, who: object, what: str) -> None:
        """Note that a client met a limit.

        Args:
            limit: the setting's name in a resource.
            who: the client.
            what: what became of it, as "answered with 503".
        """
        recorder.limits_met.add(1, limit)
        if limit in self._more:
            self._more[limit] += 1
            self._last[limit] = f"{who}, {what}"
            return
        self._logger.warning("Limit %s met by %s: %s", limit, who, what)
        self._begin(limit)

    def _begin(self, limit: str) -> None:
        self._more[limit] = 0
        self._call_later(PERIOD_SECONDS, lambda: self._period_ends(limit))

    def _period_ends(self, limit: str) -> None:
        count = self._more.pop(limit)
        if count:
            self._logger.warning(
                "Limit %s met %d more times in %g s, the last by %s",
                limit,
                count,
                PERIOD_SECONDS,
                self._last.pop(limit),
            )
            self._begin(limit)
