"""The servers and layers that are compared, and how each is started by its own users' command."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cores import Cores, pin
from tests.support.free_port import free_port

ROOT = Path(__file__).parents[2]
SITE = "tests.benchmarks.tutorial.asgi:application"
START_SECONDS = 30
CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"
OURS = "realtime_gateway.layer.RedisChannelLayer"


@dataclass(frozen=True)
class Contender:
    """One server with one layer.

    Attributes:
        name: in the table.
        app: the first of INSTALLED_APPS.
        layer: the BACKEND.
        command: what is run, without its port.
        room: the path of the room's WebSocket: which consumer is measured.
        environment: variables of its own.
    """

    name: str
    app: str
    layer: str
    command: tuple[str, ...]
    port_option: str = "-p"
    room: str = "/ws/chat/lobby/"
    environment: tuple[tuple[str, str], ...] = ()


DAPHNE = (sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-v", "0", SITE)
UVICORN = (sys.executable, "-m", "uvicorn", "--host", "127.0.0.1", "--log-level", "warning", SITE)
SERVE = (sys.executable, "-m", "realtime_gateway.cli.main", "serve", "-b", "127.0.0.1", "-v", "0", SITE)

CONTENDERS = (
    Contender("Daphne, channels_redis core", "daphne", CORE, DAPHNE),
    Contender("Daphne, channels_redis pubsub", "daphne", PUBSUB, DAPHNE),
    Contender("uvicorn, channels_redis core", "channels", CORE, UVICORN, "--port"),
    Contender("uvicorn, channels_redis pubsub", "channels", PUBSUB, UVICORN, "--port"),
    Contender("uvicorn, our layer", "channels", OURS, UVICORN, "--port"),
    Contender("RealtimeGateway", "realtime_gateway", OURS, SERVE),
    Contender("RealtimeGateway, @fanout", "realtime_gateway", OURS, SERVE, room="/ws/fast/lobby/"),
)


class ServerProcess:
    """One server of a contender on a port of its own; a context manager."""

    def __init__(self, contender: Contender, redis_port: int, cores: Cores) -> None:
        self.contender = contender
        self.redis_port = redis_port
        self.cores = cores
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.ending = ExitStack()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def __enter__(self) -> ServerProcess:
        command = [*self.contender.command, self.contender.port_option, str(self.port)]
        environment = os.environ | {
            "BENCHMARK_SERVER_APP": self.contender.app,
            "BENCHMARK_LAYER": self.contender.layer,
            "BENCHMARK_REDIS_PORT": str(self.redis_port),
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.tutorial.settings",
            **dict(self.contender.environment),
        }
        # Some contenders log an exception for each of many clients that leave at once: shown when one does not start.
        self.log = self.ending.enter_context(tempfile.TemporaryFile())
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log)
        pin(self.process.pid, self.cores.server)
        self._wait_until_it_answers()
        return self

    def __exit__(self, *error: object) -> None:
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.ending.close()

    def _wait_until_it_answers(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.contender.name} did not start:\n{self._last_words()}")
            time.sleep(0.05)

    def _last_words(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")[-4000:]

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=2).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True
