"""What the channel layer and the auth stacks are asked for, beside what they measure now and what others do.

Each figure comes from fresh processes, a few runs of which the middle one counts. Nothing is asserted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from realtime_gateway.hosts import HostList, Shard
from tests.benchmarks.contenders import CORE, OURS, PUBSUB
from tests.benchmarks.cores import Cores
from tests.benchmarks.layer_alone import LayerLoad
from tests.benchmarks.runs import run_auth_figure, run_figure, run_layer

MANY_MEMBERS = 10_000


@dataclass(frozen=True)
class Target:
    """One line of the table."""

    what: str
    asked: str
    measured: str


class Benchmark:
    """Measures targets one after the other.

    Args:
        cores: where processes run.
        runs: of each figure; the middle one counts.
        scale: a part of the work, for a quick look.
    """

    def __init__(self, cores: Cores, runs: int, scale: float = 1.0) -> None:
        self._cores = cores
        self._runs = runs
        self._scale = scale

    def each(self) -> Iterator[Target]:
        """Yield each line when it has been measured."""
        raise NotImplementedError

    def _count(self, number: int) -> int:
        return max(int(number * self._scale), 16)


class Targets(Benchmark):
    """The channel layer and the auth stacks."""

    def each(self) -> Iterator[Target]:
        """Yield each line when it has been measured."""
        for measure in (
            self.fan_out, self.alone, self.publishing, self.synchronous, self.moved, self.member, self.group,
            self.burst, self.authentication, self.limits,
        ):  # fmt: skip
            yield from measure()

    def fan_out(self) -> Iterator[Target]:
        """One message to very many members."""
        members = self._count(MANY_MEMBERS)
        few = self._figure("fan_out", OURS, members=1, sends=50)
        many = self._figure("fan_out", OURS, members=members, sends=20)
        core = self._figure("fan_out", CORE, members=members, sends=3)
        yield Target(
            f"group_send to {members:,} members here, until acknowledged",
            "<= 1 ms (core: 60-74)",
            f"{_times(many)} (core: {_times(core)})",
        )
        yield Target("the same to one member", "the same", _times(few))

    def alone(self) -> Iterator[Target]:
        """The CPU of a delivery."""
        found = {}
        for backend in (OURS, CORE, PUBSUB):
            load = LayerLoad(backend, 0, 100, 2, 20, self._count(5000))
            found[backend] = statistics.median(run_layer(load, self._cores).server_us for _ in range(self._runs))
        for backend, name, asked in ((CORE, "core", 6), (PUBSUB, "pubsub", 3)):
            yield Target(
                f"CPU per delivery, 100 groups x 2 members, beside {name}",
                f">= {asked}x below",
                f"{found[backend] / found[OURS]:.1f}x below ({found[OURS]:.0f} and {found[backend]:.0f} us)",
            )

    def publishing(self) -> Iterator[Target]:
        """One process that sends as much as it can."""
        messages = self._count(20_000)
        ours, raw = (self._figure(name, OURS, messages=messages) for name in ("publish", "publish_raw"))
        core = self._figure("publish", CORE, messages=max(messages // 5, 1000), at_once=50)
        for other, name, asked in ((raw, "raw pipelined PUBLISH", ">= 0.5x"), (core, "core", ">= 10x")):
            by_cpu, by_clock = other["cpu_us"] / ours["cpu_us"], ours["per_second"] / other["per_second"]
            numbers = f"{1e6 / ours['cpu_us']:,.0f} and {1e6 / other['cpu_us']:,.0f}"
            yield Target(
                f"messages that one process publishes for a second of CPU, beside {name}",
                asked,
                f"{by_cpu:.2f}x ({numbers}); on the clock {by_clock:.2f}x",
            )

    def synchronous(self) -> Iterator[Target]:
        """Views that send."""
        calls = self._count(500)
        ours, core = (self._figure("synchronous", backend, calls=calls) for backend in (OURS, CORE))
        bridge = self._figure("synchronous_nothing", OURS, calls=calls)
        yield Target(
            "async_to_sync(group_send) from a thread, median",
            "<= 1 ms",
            f"{_times(ours)} (core: {_times(core)}; async_to_sync of nothing: {_times(bridge)})",
        )
        yield Target(
            f"connections that {calls} such calls open",
            "0",
            f"{ours['connections']:.0f} (core: {core['connections']:.0f})",
        )

    def moved(self) -> Iterator[Target]:
        """What a third shard takes over."""
        two, three = (HostList(0, tuple(Shard(f"shard-{number}") for number in range(n))) for n in (2, 3))
        keys = [f"group-{number}" for number in range(100_000)]
        moved = sum(two.owner(key) != three.owner(key) for key in keys)
        yield Target("keys that move from 2 shards to 3", "<= 34%", f"{moved / len(keys):.1%} of {len(keys):,}")

    def member(self) -> Iterator[Target]:
        """Memory of members."""
        found = self._figure("idle_members", OURS, members=self._count(20_000))
        yield Target("memory of an idle member, on top of the consumer", "<= 1024 bytes", f"{found['bytes']:.0f} bytes")

    def group(self) -> Iterator[Target]:
        """Memory of groups in Redis."""
        found = self._figure("idle_groups", OURS, groups=self._count(5000))
        yield Target(
            "memory in Redis of a group with a member, without messages", "stated", f"{found['joined']:.0f} bytes"
        )
        yield Target(
            "the same after one message",
            "stated",
            f"{found['used']:.0f} bytes more, for {found['life_seconds']:.0f} s",
        )

    def burst(self) -> Iterator[Target]:
        """Many messages at once."""
        messages = self._count(50_000)
        found = self._figure("burst", OURS, messages=messages)
        yield Target(
            f"{messages:,} messages to a process that reads none of them at first",
            "none dropped, memory back",
            f"{messages - found['received']:.0f} dropped; "
            f"{found['height_mib']:+.1f} MiB, then {found['left_mib']:+.1f} MiB",
        )

    def _count(self, number: int) -> int:
        # A layer that is hardly warm measures its connections.
        return max(int(number * self._scale), 1000 if number >= 1000 else 1)

    def authentication(self) -> Iterator[Target]:
        """What a stack adds to a connection."""
        checks = [run_auth_figure("jwt", self._cores, checks=self._count(5000))["cpu_us"] for _ in range(self._runs)]
        yield Target(
            "CPU of a JWT's check, RS256 with a key that is known", "<= 150 us", f"{statistics.median(checks):.0f} us"
        )
        connections = self._count(500)
        ours, channels = (
            run_auth_figure("session", self._cores, connections=connections, stack=stack)
            for stack in ("realtime_gateway.auth.session.session_stack", "channels.auth.AuthMiddlewareStack")
        )
        yield Target(
            "queries of a session's WebSocket with 100 messages",
            "<= 2: its session and its user",
            f"{ours['queries']:.1f} (Channels' stack: {channels['queries']:.1f})",
        )
        yield Target(
            "CPU of all of it",
            "",
            f"{ours['cpu_us']:.0f} us (Channels' stack: {channels['cpu_us']:.0f} us)",
        )

    def limits(self) -> Iterator[Target]:
        """What limits cost a message that is within them."""
        messages = self._count(100_000)
        spent = [run_auth_figure("limits", self._cores, messages=messages)["cpu_us"] for _ in range(self._runs)]
        yield Target(
            "CPU of holding a message against four rates: its connection's and its user's, of messages and bytes",
            "<= 5 us",
            f"{statistics.median(spent):.1f} us",
        )

    def _figure(self, name: str, backend: str, **arguments: Any) -> Mapping[str, float]:
        found = [run_figure(name, backend, self._cores, **arguments) for _ in range(self._runs)]
        return {key: statistics.median(one[key] for one in found) for key in found[0]}


def _times(found: Mapping[str, float]) -> str:
    return f"{found['ms']:.2f} ms, {found['cpu_ms']:.2f} of it CPU here"


def print_targets(title: str, targets: Benchmark, write: Callable[[str], object]) -> None:
    """Print the table, line by line, as it is measured."""
    write(f"{title}: asked and measured")
    for target in targets.each():
        write(f"  {target.what}\n      asked {target.asked}; measured {target.measured}")
