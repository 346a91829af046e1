"""The compiled clients (load.c): built once for a run of the benchmark, where this machine has a C compiler."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from tests.benchmarks.contenders import Contender, ServerProcess
from tests.benchmarks.cores import Cores, pin
from tests.support.redis_process import RedisProcess

SOURCE = Path(__file__).with_name("load.c")
FLOOR = Path(__file__).with_name("floor.c")
LONGEST_SECONDS = 900


@dataclass(frozen=True)
class Clients:
    """What the clients do; the head of load.c says what each mode does.

    Attributes:
        path: of the WebSocket, may hold one %d for the number of the group.
        outstanding: messages on their way, or clients that connect at once.
        hold_seconds: how long those that have connected stay.
    """

    mode: str
    path: str
    groups: int = 1
    members: int = 1
    outstanding: int = 16
    warm_up: int = 0
    count: int = 0
    hold_seconds: int = 0


@dataclass(frozen=True)
class Found:
    """What they measured, after the warm-up; CPU is user and system time of all threads, not rounded to ticks.

    Attributes:
        complete: messages that every member of their group has got.
        grown_bytes: resident memory of the server, after less before.
        reads: of the clients; fewer than deliveries where the server has joined frames.
        hold_cpu_seconds: of the server, while clients only stayed.
    """

    deliveries: int
    lost: int
    twice: int
    seconds: float
    server_cpu_seconds: float
    redis_cpu_seconds: float
    client_cpu_seconds: float
    complete: int
    grown_bytes: int
    hold_cpu_seconds: float
    hold_seconds: float
    reads: int

    @property
    def busy(self) -> float:
        """The part of a core that the clients themselves took."""
        return self.client_cpu_seconds / self.seconds


def compiler() -> str | None:
    """Return the path of a C compiler, or None."""
    return shutil.which("cc")


@cache
def program(source: Path = SOURCE) -> str:
    """Compile the clients, or another program; the result goes away with this process."""
    found = compiler()
    assert found is not None, "whoever calls this has asked for a compiler"
    directory = tempfile.mkdtemp(prefix="rtg-load-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    target = f"{directory}/{source.stem}"
    subprocess.run([found, "-O2", "-o", target, str(source)], check=True)
    return target


def floor_us(cores: Cores, sockets: int, rounds: int) -> float:
    """Return what one send(2) of a small frame costs here, in microseconds of CPU."""
    on = (-1 if core is None else core for core in (cores.server, cores.clients))
    words = [program(FLOOR), *map(str, (*on, sockets, rounds))]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=LONGEST_SECONDS)
    return float(done.stdout)


def run_clients(contender: Contender, clients: Clients, cores: Cores) -> Found:
    """Run the clients against a fresh server of this contender, with a fresh Redis."""
    with RedisProcess() as redis, ServerProcess(contender, redis.port, cores) as server:
        assert redis.process is not None
        pin(redis.process.pid, cores.redis)
        numbers = (clients.groups, clients.members, clients.outstanding, clients.warm_up, clients.count)
        words = (clients.mode, server.port, server.pid, redis.process.pid, clients.path, *numbers, clients.hold_seconds)
        with subprocess.Popen([program(), *map(str, words)], stdout=subprocess.PIPE, text=True) as process:
            pin(process.pid, cores.clients)
            try:
                output, _ = process.communicate(timeout=LONGEST_SECONDS)
            finally:
                process.kill()
        if process.returncode:
            raise RuntimeError(f"the clients ended with exit code {process.returncode}")
    said = json.loads(output)
    return Found(**{field.name: said[field.name] for field in fields(Found)})
