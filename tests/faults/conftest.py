"""The table at the end of the run."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from realtime_gateway.layer.options import LayerOptions
from tests.faults.crew import Crew
from tests.faults.tally import HEAD, Tally

Counted = Callable[..., Tally]

_ROWS: list[tuple[str, str]] = []
# How much later than after ``send_timeout`` a sender may get its error.
LATE_SECONDS = 2.0
# A failover may undo that something was taken: of what two workers take while a replica is a moment behind.
TWICE_PER_FAILOVER = 5


def rounds(short: int) -> int:
    """How often a trouble comes: FAULT_ROUNDS, else ``short``."""
    return int(os.environ.get("FAULT_ROUNDS") or short)


@pytest.fixture
def counted() -> Counted:
    """Finish a crew, add a row to the table, and require that nothing went wrong.

    Args of what it returns:
        crew: whose work it was.
        trouble: what to call the row.
        errors: the names of the errors that senders may have got, each within ``send_timeout``.
        sentinel: what Sentinel itself needed, in words.
        told: how many false alarms there may have been: members told of missing messages while nothing was missing.
        twice: how many messages of queues may have been taken again after any one failover: nothing promises none.
    """

    def counted(
        crew: Crew, trouble: str, errors: tuple[str, ...] = (), sentinel: str = "", told: int = 0, twice: int = 0
    ) -> Tally:
        tally, got = crew.finish()
        again = crew.twice_per_failover()
        most = f"at most {max(again)} twice after one" if any(again) else ""
        _ROWS.append((trouble, f"{tally.line()}  {sentinel}  {most}".rstrip()))
        if tally.lost or tally.missed or tally.duplicated or tally.disordered or tally.raised:
            details = "\n".join(crew.missing()[:20])
            pytest.fail(f"{trouble}\n{HEAD}\n{tally.line()}\n{details}\n{crew.logs()}")
        assert tally.told <= told, f"{trouble}: members were told {tally.told} times of a loss that was none"
        assert sum(again) >= tally.twice, f"{trouble}: {tally.twice} messages of queues were taken twice, not {again}"
        assert max(again, default=0) <= twice, f"{trouble}: messages of queues taken twice after each failover: {again}"
        longest_seconds = crew.options.get("send_timeout", LayerOptions().send_timeout) + LATE_SECONDS
        for sender, failures in got.items():
            for kind, seconds in failures:
                assert kind in errors, f"{sender} got {kind} after {seconds:.1f} s"
                assert seconds < longest_seconds, f"{sender} waited {seconds:.1f} s for {kind}"
        return tally

    return counted


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    if _ROWS:
        width = max(len(trouble) for trouble, _ in _ROWS)
        terminalreporter.section("messages counted under faults")
        terminalreporter.write_line(f"{'':{width}} {HEAD}")
        for trouble, row in _ROWS:
            terminalreporter.write_line(f"{trouble:{width}} {row}")
