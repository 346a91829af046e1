"""Serves the operator's own metrics with numbers in all of them, as an operator with one resource has them."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass

from realtime_operator import recording
from realtime_operator.metrics_port import serving


@dataclass(frozen=True)
class Apply:
    """Stands for an action."""


async def main() -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with serving(int(sys.argv[1])):
        recording.leads(True)
        recording.follows(1)
        recording.reported(
            "town",
            "chat",
            {
                "conditions": [{"type": "Ready", "status": "True"}, {"type": "Degraded", "status": "False"}],
                "hosts": {"epoch": 1, "podsAtEpoch": 2},
            },
        )
        while not ended.is_set():
            recording.passed(recording.DONE, 0.04)
            recording.acted(Apply(), done=True)
            recording.called("PATCH", 200)
            await asyncio.sleep(0.2)


asyncio.run(main())
