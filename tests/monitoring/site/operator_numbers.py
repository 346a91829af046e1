"""Serves the operator's own metrics with numbers in all of them, as an operator with one resource has them."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass

from realtime_operator import recording


@dataclass(frozen=True)
class Apply:
    """Stands for an action."""


recording.serve(int(sys.argv[1]))
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
while not signal.sigtimedwait({signal.SIGTERM}, 0.2):
    recording.passed(recording.DONE, 0.04)
    recording.acted(Apply(), done=True)
    recording.called("PATCH", 200)
