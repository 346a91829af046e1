"""What was measured, as tables in plain text: medians over the runs, and how many times less CPU ours takes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """One run of one contender, per delivery.

    Attributes:
        server_us: CPU of the server (of the process, for a layer alone), in microseconds.
        redis_us: CPU of Redis, in microseconds; None where it was not watched.
        client_busy: the part of its core that the load generator used; None where there is none.
        deliveries_per_second: on the clock.
        lost: deliveries that never came.
        twice: deliveries that came again.
    """

    server_us: float
    redis_us: float | None
    client_busy: float | None
    deliveries_per_second: float
    lost: int
    twice: int


def table(title: str, samples: Mapping[str, Sequence[Sample]], ours: str) -> str:
    """Lay out one load, a row for each contender."""
    reference = _median([sample.server_us for sample in samples[ours]]) if samples.get(ours) else None
    head = [
        "",
        "CPU µs/delivery",
        "(min-max)",
        "ours takes",
        "Redis µs",
        "deliveries/s",
        "load generator",
        "lost",
        "twice",
    ]
    rows = [head, *(_row(name, runs, reference) for name, runs in samples.items() if runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([title, "-" * len(lines[0]), *lines])


def faults(samples: Mapping[str, Sequence[Sample]]) -> list[str]:
    """Say which contenders lost a delivery or made one twice."""
    return [
        f"{name}: {sum(run.lost for run in runs)} lost, {sum(run.twice for run in runs)} twice"
        for name, runs in samples.items()
        if any(run.lost or run.twice for run in runs)
    ]


def _row(name: str, runs: Sequence[Sample], reference: float | None) -> list[str]:
    server = [run.server_us for run in runs]
    middle = _median(server)
    return [
        name,
        f"{middle:.1f}",
        f"({min(server):.1f}-{max(server):.1f})",
        f"{middle / reference:.2f}x less" if reference and middle != reference else "",
        _optional([run.redis_us for run in runs], "{:.1f}"),
        f"{_median([run.deliveries_per_second for run in runs]):,.0f}",
        _optional([run.client_busy for run in runs], "{:.0%}"),
        str(sum(run.lost for run in runs)),
        str(sum(run.twice for run in runs)),
    ]


def _optional(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    return form.format(_median(known)) if known else ""


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *rest = [
        cell.ljust(width) if not index else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([name, *rest]).rstrip()
