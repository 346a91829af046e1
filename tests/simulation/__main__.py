"""Run seeds and print what happened how often; of one seed, or of seeds that fail, print the event log.

python -m tests.simulation 1234         one seed, with its log
python -m tests.simulation 0-1999       many, on every core
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.simulation.many import run_many, sentences
from tests.simulation.mutations import MUTATIONS
from tests.simulation.runs import Setup, run

_LOGS_SHOWN, _LINES_SHOWN = 2, 4000


def main() -> int:
    """Return the exit status: 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="a number, or the first and the last with a dash between")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many run at a time")
    parser.add_argument("--quiet", action="store_true", help="print no event logs")
    parser.add_argument("--only", action="append", default=[], help="a kind of fault; no other kinds happen")
    parser.add_argument("--mutation", choices=MUTATIONS, default="", help="a rule of the protocol that is taken out")
    options = parser.parse_args()
    first, dash, last = options.seeds.partition("-")
    setup = Setup(options.mutation, frozenset(options.only))
    if not dash:
        return _show(int(first), setup)
    total = run_many(range(int(first), int(last) + 1), setup, options.workers, lambda line: print(line, flush=True))
    print("\n".join(total.table()))
    for report in [] if options.quiet else total.failed[:_LOGS_SHOWN]:
        _show(report.seed, setup, _LINES_SHOWN)
    return 1 if total.failed else 0


def _show(seed: int, setup: Setup, lines: int = 1_000_000) -> int:
    report = run(seed, setup, keep_log=True)
    print(f"--- seed {seed}, {len(report.log)} lines")
    print("\n".join(report.log[:lines]))
    if not report.violations:
        print(f"seed {seed}: nothing is wrong")
        return 0
    print("\n".join(sentences(report)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
