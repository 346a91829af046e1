"""One seed, one run, one report."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from types import ModuleType
from unittest.mock import patch

from realtime_gateway.layer.machine import follow, lane, reading
from tests.simulation.faults import LONG_OUTAGE_SECONDS, Faults
from tests.simulation.invariants import keeps_too_much, violations
from tests.simulation.mutations import MUTATIONS
from tests.simulation.rolls import Operator
from tests.simulation.situations import Situations
from tests.simulation.workload import Workload
from tests.simulation.world import LIMITS, PROCESS_NAMES, World

_BUSY_FROM, _BUSY_UNTIL = 1.0, 13.0
# Detection, dialling again, the send timeout: by then everything is as it should be.
_SETTLED_SECONDS = 12.0
_MEMORY_EVERY = 25
# One run in so many has bounds that ordinary runs never meet.
_TIGHT_EVERY = 5
_TIGHT_REPLAY_BYTES = 1200  # some six messages
_TIGHT: tuple[tuple[ModuleType, str, int], ...] = (
    (reading, "_PAGE_ENTRIES", 3), (follow, "_HELD_BYTES", 300), (lane, "_BATCH_MESSAGES", 3),
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """How runs differ from the real thing.

    Attributes:
        mutation: a rule that is taken out, by its name in ``mutations``.
        only: the kinds of faults that happen; empty for all of them.
    """

    mutation: str = ""
    only: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Report:
    """What came of a run."""

    seed: int
    violations: list[str]
    counts: Counter[str]
    steps: int
    log: list[str] = field(repr=False)


def run(seed: int, setup: Setup = Setup(), keep_log: bool = False) -> Report:
    """Run one seed."""
    if setup.mutation:
        with MUTATIONS[setup.mutation].without_it():
            return run(seed, replace(setup, mutation=""), keep_log)
    tight = seed % _TIGHT_EVERY == 0
    world = World(seed, keep_log, replace(LIMITS, replay_bytes=_TIGHT_REPLAY_BYTES) if tight else LIMITS)
    try:
        with _tight_bounds() if tight else nullcontext():
            found = _play(world, setup)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        found = [f"{type(error).__name__}: {error} at {where.filename.rpartition('/')[2]}:{where.lineno}"]
    counts = world.record.counts
    counts["runs within tight bounds"] = int(tight)
    counts["runs that begin with a plain list"] = int(world.plain)
    counts["runs with clocks that drift"] = int(any(shard.drift_ppm for shard in world.shards.values()))
    counts["runs with shards of two replicas"] = int(any(shard.replicas > 1 for shard in world.shards.values()))
    counts["messages"] = len(world.record.messages)
    counts["loss reports"] = len(world.record.loss_reports)
    return Report(seed, found, counts, world.clock.steps, world.clock.log)


def _play(world: World, setup: Setup) -> list[str]:
    random, clock = world.random, world.clock
    operator = Operator(world)
    workload = Workload(world, random.randint(40, 80))
    faults = Faults(world, operator)
    faults.kinds |= Situations(world, workload, operator, faults).kinds
    for shard in world.hosts.shards if not world.plain else ():
        operator.announce(shard.name, world.hosts)
    for name in PROCESS_NAMES:
        clock.after(random.random(), world.start_process, name)
    moments = [random.uniform(_BUSY_FROM, _BUSY_UNTIL - 2) for _ in range(random.choice((0, 1, 2, 2, 3)))]
    workload.plan(_BUSY_FROM, _BUSY_UNTIL, moments)
    faults.plan(moments, setup.only)
    clock.run_until(_BUSY_UNTIL + 4)
    while faults.until > clock.now:  # a fault may lead to another
        clock.run_until(faults.until)
    operator.come_back()
    clock.run_until(clock.now + _SETTLED_SECONDS)
    for name in world.processes:
        world.learn(name, world.hosts)
    if operator.rolled and random.random() < 0.4:
        operator.watch(clock.now + LIMITS.expiry_seconds + 8)
        clock.run_until(clock.now + LIMITS.expiry_seconds + 12)
    workload.probe()
    clock.run_until(clock.now + LIMITS.send_timeout_seconds + 1)
    found = violations(world)
    if world.record.messages and world.clock.steps and not found and _memory_is_looked_at(world):
        clock.run_until(clock.now + 2 * LIMITS.memory_seconds + 5)
        found = [sentence for process in world.processes.values() for sentence in keeps_too_much(process)]
    return found


@contextmanager
def _tight_bounds() -> Iterator[None]:
    """Bounds that are met all the time: pages, batches, and what is held while a gap is read."""
    with ExitStack() as stack:
        for module, name, value in _TIGHT:
            stack.enter_context(patch.object(module, name, value))
        yield


def _memory_is_looked_at(world: World) -> bool:
    return world.random.randrange(_MEMORY_EVERY) == 0


__all__ = ["LONG_OUTAGE_SECONDS", "Report", "Setup", "run"]
