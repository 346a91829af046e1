"""What the server is asked for, beside what it and stock Daphne measure now: fan-out, rooms, handshakes, memory, echo.

The clients are compiled (load.c), so that they are never what is measured; their own share of a core is printed. With
clients in Python each message of a room came alone, however many were outstanding, and nothing could be joined.
"""

from __future__ import annotations

import resource
import statistics
from collections.abc import Iterator
from operator import attrgetter

from tests.benchmarks.contenders import CONTENDERS
from tests.benchmarks.cores import Cores
from tests.benchmarks.generator import Clients, Found, compiler, floor_us, run_clients
from tests.benchmarks.targets import Benchmark, Target

STOCK, OURS, FANOUT = "Daphne, channels_redis pubsub", "RealtimeGateway", "RealtimeGateway, @fanout"
OTHERS = ("Daphne, channels_redis core", STOCK, "uvicorn, channels_redis core", "uvicorn, channels_redis pubsub")
SHORT = {STOCK: "stock", OURS: "unmodified consumer", FANOUT: "@fanout"} | {
    name: name.replace("channels_redis ", "") for name in OTHERS if name != STOCK
}
FAST_PATH, PATH = "/ws/fast/", "/ws/chat/"
MEMBERS = 200
ROOMS = 100
IDLE = 10_000
COME_AND_GO = 100_000
PING_SECONDS = 20  # the server's default: each idle connection gets one in this time
# What the server needs beside its clients.
SPARE_FILES = 500


class ServerTargets(Benchmark):
    """The server."""

    def __init__(self, cores: Cores, runs: int, scale: float = 1.0) -> None:
        super().__init__(cores, runs, scale)
        _, self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, self._files))

    def each(self) -> Iterator[Target]:
        """Yield each line when it has been measured."""
        if compiler() is None:
            yield Target("the server, by compiled clients", "", "skipped: there is no C compiler (cc) here")
            return
        for measure in (self.fan_out, self.rooms, self.echo, self.handshakes, self.idle, self.churn):
            yield from measure()

    def fan_out(self) -> Iterator[Target]:
        """One room."""
        floor = statistics.median(floor_us(self._cores, MEMBERS, self._count(2000)) for _ in range(self._runs))
        yield Target("floor: one send(2) per delivery, in C", "stated (4.6 us where aims were set)", f"{floor:.1f} us")
        for outstanding, asked in ((1, "<= 7.5"), (4, "<= 3.5; unmodified <= 12"), (16, "<= 1.0")):
            room = Clients("room", "lobby/", 1, MEMBERS, outstanding, self._count(200), self._count(1000))
            names = (*OTHERS, OURS, FANOUT) if outstanding == 4 else (OURS, FANOUT)
            yield self._deliveries(f"a room of {MEMBERS}, {outstanding} outstanding", asked, room, names)

    def rooms(self) -> Iterator[Target]:
        """Many small ones."""
        rooms = Clients("room", "room%d/", ROOMS, 2, 16, self._count(2000), self._count(10_000))
        yield self._deliveries(f"{ROOMS} rooms of two, 16 outstanding", "<= 22; unmodified <= 25", rooms)

    def echo(self) -> Iterator[Target]:
        """Without a layer."""
        echo = Clients("room", "/ws/echo/", 100, 1, 16, self._count(2000), self._count(20_000))
        yield self._deliveries("echoes, 100 clients, 16 outstanding", "7x less than stock", echo, (STOCK, OURS))

    def handshakes(self) -> Iterator[Target]:
        """What a client costs that comes and stays."""
        count = self._count(2000)
        opening = Clients("open", "lobby/", outstanding=16, warm_up=self._count(500), count=count)
        found = {name: self._found(name, opening) for name in (STOCK, FANOUT)}
        cost = {name: _middle(runs, "server_cpu_seconds") / count * 1e6 for name, runs in found.items()}
        yield Target("CPU of a handshake with group_add", "<= 180 us", _beside_stock(cost, "us"))
        size = {name: _middle(runs, "grown_bytes") / count / 1024 for name, runs in found.items()}
        yield Target("memory of an idle member", "<= 12 KB", _beside_stock(size, "KB"))

    def idle(self) -> Iterator[Target]:
        """Connections that only answer pings."""
        count = min(self._count(IDLE), self._files - SPARE_FILES)
        staying = Clients("open", "lobby/", count=count, hold_seconds=PING_SECONDS)
        [found] = self._found(FANOUT, staying, runs=1)
        share = found.hold_cpu_seconds / found.hold_seconds
        yield Target(f"{count:,} idle connections with pings", "<= 2% of a core", f"{share:.1%} of a core")

    def churn(self) -> Iterator[Target]:
        """Clients that come and go."""
        count = self._count(COME_AND_GO)
        going = Clients("churn", "lobby/", warm_up=self._count(10_000), count=count)
        [found] = self._found(FANOUT, going, runs=1)
        measured = f"{found.grown_bytes / 1024:+,.0f} KB"
        yield Target(f"memory after {count:,} connects and disconnects", "nothing grows", measured)

    def _deliveries(
        self, what: str, asked: str, clients: Clients, names: tuple[str, ...] = (STOCK, OURS, FANOUT)
    ) -> Target:
        found = {name: self._found(name, clients) for name in names}
        cost = {
            name: statistics.median(run.server_cpu_seconds / max(run.deliveries, 1) * 1e6 for run in runs)
            for name, runs in found.items()
        }
        wrong = {name: sum(run.lost + run.twice for run in runs) for name, runs in found.items()}
        faults = ", ".join(f"{SHORT[name]} {count}" for name, count in wrong.items() if count)
        busy = max(run.busy for runs in found.values() for run in runs)
        joined = ", ".join(
            f"{SHORT[name]} {statistics.median(run.deliveries / max(run.reads, 1) for run in runs):.1f}"
            for name, runs in found.items()
        )
        measured = f"{_beside_stock(cost, 'us')}; frames in one read: {joined}; clients took {busy:.0%} of their core"
        return Target(f"CPU per delivery, {what}", asked, measured + (f"; LOST OR TWICE: {faults}" if faults else ""))

    def _found(self, name: str, clients: Clients, runs: int | None = None) -> list[Found]:
        [contender] = [each for each in CONTENDERS if each.name == name]
        path = clients.path if clients.path.startswith("/") else (FAST_PATH if name == FANOUT else PATH) + clients.path
        wanted = Clients(**{**vars(clients), "path": path})
        return [run_clients(contender, wanted, self._cores) for _ in range(runs or self._runs)]


def _middle(runs: list[Found], name: str) -> float:
    return float(statistics.median(map(attrgetter(name), runs)))


def _beside_stock(figures: dict[str, float], unit: str) -> str:
    stock = figures.get(STOCK)
    ours = [
        f"{SHORT[name]} {figure:.1f} {unit}" + (f" ({stock / figure:.1f}x less)" if stock else "")
        for name, figure in figures.items()
        if name != STOCK
    ]
    return ", ".join(ours) + (f"; stock {stock:.0f} {unit}" if stock else "")
