"""Many seeds, on every core."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from tests.simulation.runs import Report, Setup, run

_BATCH = 25


@dataclass
class Total:
    """What came of many runs.

    Attributes:
        counts: how often what happened in all of them.
        runs_with: how many of them it happened in.
        failed: the reports of those that failed.
    """

    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    runs_with: Counter[str] = field(default_factory=Counter)
    failed: list[Report] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Take one more."""
        self.runs += 1
        self.steps += report.steps
        self.counts.update(report.counts)
        self.runs_with.update(name for name, count in report.counts.items() if count)
        if report.violations:
            self.failed.append(report)

    def table(self) -> Iterator[str]:
        """Return one line for each thing that happened, and one for all."""
        yield f"{'times':>10} {'in runs':>8}"
        for name, count in sorted(self.counts.items()):
            yield f"{count:10} {self.runs_with[name]:8}  {name}"
        yield (
            f"{self.runs} runs of {self.steps / self.runs:.0f} steps, {self.runs / self.seconds:.0f} a second:"
            f" {len(self.failed)} failed"
        )


def sentences(report: Report) -> Iterator[str]:
    """Return what is wrong with a run, and how to see it again."""
    for sentence in report.violations[:10]:
        yield f"seed {report.seed}: {sentence}"
    yield f"seed {report.seed}: {len(report.violations)} violations; replay: make simulate SEEDS={report.seed}"


def run_many(seeds: range, setup: Setup, workers: int, say: Callable[[str], None] = print) -> Total:
    """Run all seeds; say how far it is, and what fails."""
    total, started = Total(), time.perf_counter()
    batches = [seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)]
    with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
        for number, reports in enumerate(pool.map(partial(_batch, setup), batches), start=1):
            for report in reports:
                total.add(report)
                if report.violations:
                    say("\n".join(sentences(report)))
            total.seconds = time.perf_counter() - started
            if number % 20 == 0 or number == len(batches):
                say(f"{total.runs} of {len(seeds)} runs, {len(total.failed)} failed, {total.seconds:.0f} s")
    return total


def _batch(setup: Setup, seeds: range) -> list[Report]:
    # A run makes many objects and few cycles: looking for them all the time costs a fifth of it.
    gc.disable()
    reports = [run(seed, setup) for seed in seeds]
    gc.collect()
    return reports
