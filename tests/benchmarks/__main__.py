"""Run every contender under every load, in turns, and print tables: `make bench`."""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version

from tests.benchmarks import metrics_cost
from tests.benchmarks.contenders import CONTENDERS, CORE, OURS, PUBSUB
from tests.benchmarks.cores import Cores, choose
from tests.benchmarks.layer_alone import LayerLoad
from tests.benchmarks.room import Load
from tests.benchmarks.runs import run_layer, run_room
from tests.benchmarks.server_targets import ServerTargets
from tests.benchmarks.tables import Sample, faults, table
from tests.benchmarks.targets import Targets, print_targets
from tests.benchmarks.tracing_targets import TracingTargets

OUTSTANDING = (1, 4, 16)
LAYERS = {"channels_redis core": CORE, "channels_redis pubsub": PUBSUB, "RealtimeGateway": OURS}
UPSTREAM = ("daphne", "channels", "channels-redis", "redis", "uvicorn", "uvloop")

Runs = Mapping[str, Callable[[], Sample]]


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 when our layer lost a delivery or made one twice; where another contender did, that is only said."""
    options = _options(argv)
    cores = choose()
    print(_machine(cores))
    if options.only in "servers":
        print_targets("The server", ServerTargets(cores, options.runs, options.scale), partial(print, flush=True))
    if options.only in "targets":
        title = "The channel layer and the auth stacks"
        print_targets(title, Targets(cores, options.runs, options.scale), partial(print, flush=True))
    if options.only in "tracing":
        print_targets("Traces", TracingTargets(cores, options.runs, options.scale), partial(print, flush=True))
    if options.only in "metrics":
        metrics_cost.main(partial(print, flush=True))
    wrong: list[str] = []
    for title, runs in _loads(options, cores):
        wanted = {name: run for name, run in runs.items() if options.only in name}
        samples = _in_turns(title, wanted, options.runs)
        if wanted:
            print(f"\n{table(title, samples, 'RealtimeGateway')}", flush=True)
        wrong += [f"{title}: {line}" for line in faults(samples)]
    for line in wrong:
        print(f"NOT DELIVERED EXACTLY ONCE: {line}")
    return 1 if any(ours in line for line in wrong for ours in ("RealtimeGateway", "our layer")) else 0


def _loads(options: argparse.Namespace, cores: Cores) -> Iterator[tuple[str, Runs]]:
    """Yield each load's title and how each contender runs it."""
    for outstanding in OUTSTANDING:
        title = f"One room of {options.clients} clients, 100-byte messages, {outstanding} outstanding"
        load = Load(0, (0, 0), options.clients, outstanding, max(options.messages // 5, 1), options.messages)
        yield title, {each.name: partial(run_room, each, load, cores) for each in CONTENDERS}
    for groups, members in ((max(options.clients // 2, 1), 2), (1, options.clients)):
        title = f"The layer alone, {groups} groups x {members} members, 20 outstanding"
        sends = max(options.messages * options.clients // members // 3, 1)
        loads = {name: LayerLoad(path, 0, groups, members, 20, sends) for name, path in LAYERS.items()}
        yield title, {name: partial(run_layer, load, cores) for name, load in loads.items()}


def _in_turns(title: str, runs: Runs, times: int) -> dict[str, list[Sample]]:
    """Run each once, then each again, so that what else the machine does meets all alike."""
    samples: dict[str, list[Sample]] = {name: [] for name in runs}
    for turn in range(times):
        for name, run in runs.items():
            _progress(f"{title}: run {turn + 1} of {times}, {name}")
            samples[name].append(run())
    _progress("")
    return samples


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="fresh runs of each contender (default: 3)")
    parser.add_argument("--clients", type=int, default=200, help="members of the room (default: 200)")
    parser.add_argument("--messages", type=int, default=150, help="messages measured in a run (default: 150)")
    parser.add_argument(
        "--only", default="", help="only contenders with this in their name, or servers, targets, tracing or metrics"
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="part of the work for the layer's targets (default: 1)"
    )
    return parser.parse_args(argv)


def _machine(cores: Cores) -> str:
    programs = ", ".join(f"{name} {version(name)}" for name in UPSTREAM)
    place = "nothing is pinned to a core here"
    if cores.server is not None:
        place = f"server on core {cores.server}, Redis on {cores.redis}, clients on {cores.clients}"
    return f"Python {platform.python_version()}; {programs}; {place}. CPU is user + system time of the whole process."


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
