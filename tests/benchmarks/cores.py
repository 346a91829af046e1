"""Which processor cores the server and everything else run on."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Cores:
    """Core numbers, or None where this system cannot pin a process.

    Attributes:
        server: the server under test has it to itself.
        redis: where Redis runs.
        clients: where the load comes from; the same as Redis's on a machine with two cores.
    """

    server: int | None
    redis: int | None
    clients: int | None


def choose() -> Cores:
    """Share out the cores that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None, None)
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        return Cores(None, None, None)
    return Cores(usable[0], usable[1], usable[min(2, len(usable) - 1)])


def pin(pid: int, core: int | None) -> None:
    """Keep a process (0: this one), with the threads it makes from now on, on one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})
