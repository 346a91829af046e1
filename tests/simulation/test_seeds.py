"""Promise 1 of the channel layer, in many seeded worlds of trouble."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.simulation.many import run_many, sentences
from tests.simulation.runs import Setup, run

SEEDS = range(2000)
# All of them together take a minute or two on idle cores.
SECONDS = 1200


def say_to(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print at once, past pytest: who waits for a minute wants to see how far it is."""

    def say(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n  {text}")
            sys.stdout.flush()

    return say


@pytest.mark.timeout(SECONDS)
def test_no_world_of_trouble_loses_repeats_or_reorders_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    total = run_many(SEEDS, Setup(), os.cpu_count() or 1, say_to(capsys))
    if total.failed:
        sys.stdout.write("\n".join(run(total.failed[0].seed, keep_log=True).log))
    assert not total.failed, "\n".join(line for report in total.failed for line in sentences(report))
    # The runs have seen what they are for.
    for kind in ("entries lost with a server", "repeated entries", "lists retired", "losses that were reported"):
        assert total.counts[kind], f"never happened: {kind}"
    say_to(capsys)("\n  ".join(total.table()))


def test_a_seed_gives_the_same_log_byte_for_byte_in_any_process() -> None:
    seed = next(seed for seed in count() if run(seed).counts["fault: overlapping rolls"])
    logs = [_log_of(seed, hash_seed) for hash_seed in ("1", "2")]
    assert logs[0] == logs[1]
    assert "\n".join(run(seed, keep_log=True).log) in logs[0].decode()


def _log_of(seed: int, hash_seed: str) -> bytes:
    command = [sys.executable, "-m", "tests.simulation", str(seed)]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[2]
    return subprocess.run(command, env=environment, cwd=root, check=True, stdout=subprocess.PIPE).stdout
