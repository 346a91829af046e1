"""What traces cost a server: messages of a room at each ratio, and one message that is not chosen, beside no tracing.

Spans go to a receiver on the clients' core, so that what is measured is a server whose collector works. The ways take
turns, so that whatever else the machine does meets all alike.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.generator import Clients, Found, compiler, run_clients
from tests.benchmarks.server_targets import FANOUT, FAST_PATH, MEMBERS, OURS, PATH
from tests.benchmarks.targets import Benchmark, Target
from tests.support.otlp_receivers import receiving
from tests.support.trace_receiver import spans_of

OFF, NONE, ONE_PERCENT, ALL = "off", "none chosen", "1%", "100%"
KEPT = "realtime_gateway.kept"
RATIOS = {NONE: "0", ONE_PERCENT: "0.01", ALL: "1"}


class TracingTargets(Benchmark):
    """Traces."""

    def each(self) -> Iterator[Target]:
        """Yield each line when it has been measured."""
        if compiler() is None:
            yield Target("traces, by compiled clients", "", "skipped: there is no C compiler (cc) here")
            return
        yield from self.rooms()
        yield from self.not_chosen()

    def rooms(self) -> Iterator[Target]:
        """A room, by the consumer that its members have."""
        for name, path in ((OURS, PATH), (FANOUT, FAST_PATH)):
            room = Clients("room", f"{path}lobby/", 1, MEMBERS, 4, self._count(200), self._count(1000))
            runs = self._found(name, room, (OFF, *RATIOS))
            cost = {way: _per_delivery_us(found) for way, found in runs.items()}
            what = f"messages for a second of CPU beside no traces, a room of {MEMBERS}, 4 outstanding, {name}"
            ratios = ", ".join(f"{cost[OFF] / cost[way]:.2f}x at {way}" for way in RATIOS)
            measured = f"{ratios}; {cost[OFF]:.1f} us without traces{_faults(runs)}"
            yield Target(what, ">= 0.97x at 1%, 0.6x at 100%", measured)

    def not_chosen(self) -> Iterator[Target]:
        """Messages that go from the client to its consumer and back."""
        echo = Clients("room", "/ws/echo/", 100, 1, 16, self._count(2000), self._count(20_000))
        runs = self._found(OURS, echo, (OFF, NONE))
        cost = {way: _per_delivery_us(found) for way, found in runs.items()}
        measured = f"{cost[NONE] - cost[OFF]:+.1f} us on an echo of {cost[OFF]:.1f}{_faults(runs)}"
        yield Target("CPU of a message that is not chosen", "<= 2 us", measured)

    def _found(self, name: str, clients: Clients, ways: tuple[str, ...]) -> Mapping[str, list[Found]]:
        [contender] = [each for each in CONTENDERS if each.name == name]
        found: dict[str, list[Found]] = {way: [] for way in ways}
        with receiving("http/protobuf", "none") as exports:
            for _ in range(self._runs):
                for way in ways:
                    there = () if way == OFF else _environment(exports.url, RATIOS[way])
                    found[way].append(run_clients(replace(contender, environment=there), clients, self._cores))
                    bodies = exports.of("trace")
                    if way == ALL and not bodies:
                        raise RuntimeError("no spans came")
                    if way in (OFF, NONE) and (came := [name for body in bodies for name in _chosen(body)]):
                        raise RuntimeError(f"spans came, with traces {way}: {came}")
                    exports.bodies.clear()
        return found


def _chosen(body: bytes) -> list[str]:
    """The names of the spans in an export that tell of chosen messages; what is slow is kept in any case."""
    return [span.name for span in spans_of(body) if KEPT not in span.attributes]


def _environment(url: str, ratio: str) -> tuple[tuple[str, str], ...]:
    return (
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{url}/v1/traces"),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", ratio),
    )


def _faults(runs: Mapping[str, list[Found]]) -> str:
    wrong = {way: sum(run.lost + run.twice for run in found) for way, found in runs.items()}
    faults = ", ".join(f"{count} with traces {way}" for way, count in wrong.items() if count)
    return f"; LOST OR TWICE: {faults}" if faults else ""


def _per_delivery_us(found: list[Found]) -> float:
    return float(statistics.median(run.server_cpu_seconds / max(run.deliveries, 1) * 1e6 for run in found))
