"""A real rabbitmq-server for tests: on loopback, with its own data, ports and epmd, all gone afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

from tests.support.free_port import free_port

START_SECONDS = 60
# Debian's wrapper on PATH changes to the system's own user and directories; the script behind it does not.
BEHIND_THE_WRAPPER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


def rabbitmq_programs() -> tuple[str, str] | None:
    """Return the paths of rabbitmq-server and epmd, or None where one is missing."""
    server = str(BEHIND_THE_WRAPPER) if BEHIND_THE_WRAPPER.exists() else shutil.which("rabbitmq-server")
    epmd = shutil.which("epmd")
    return (server, epmd) if server and epmd else None


class RabbitmqProcess:
    """One broker; ``url`` is what channels_rabbitmq takes as its host."""

    def __init__(self) -> None:
        self.port = free_port()
        self.epmd_port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="rtg-rabbitmq-"))
        self.log = self.directory / "output"
        self.processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def environment(self) -> dict[str, str]:
        settings = {
            "NODENAME": f"rtg{self.port}@localhost",
            "NODE_IP_ADDRESS": "127.0.0.1",
            "NODE_PORT": str(self.port),
            "DIST_PORT": str(free_port()),
            "BASE": str(self.directory),
            "MNESIA_BASE": str(self.directory / "data"),
            "LOG_BASE": str(self.directory / "log"),
            "PID_FILE": str(self.directory / "pid"),
            "ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "CONF_ENV_FILE": "/dev/null",
            "CONFIG_FILE": str(self.directory / "none"),
            "SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        epmd = {"ERL_EPMD_PORT": str(self.epmd_port), "ERL_EPMD_ADDRESS": "127.0.0.1"}
        # Erlang keeps its cookie in HOME.
        named = {f"RABBITMQ_{name}": value for name, value in settings.items()}
        return {**os.environ, **named, **epmd, "HOME": str(self.directory)}

    def start(self) -> RabbitmqProcess:
        programs = rabbitmq_programs()
        assert programs, "no rabbitmq-server or no epmd"
        server, epmd = programs
        environment = self.environment()
        (self.directory / "plugins").write_text("[].\n")
        with self.log.open("wb") as output:
            # In the foreground, so that it is ours to end; the broker would start a daemon.
            self._run([epmd, "-address", "127.0.0.1", "-port", str(self.epmd_port)], environment, output.fileno())
            self._run([server], environment, output.fileno())
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            said = self.log.read_text(errors="replace")[-2000:]
            assert all(process.poll() is None for process in self.processes), f"rabbitmq-server ended: {said}"
            assert time.monotonic() < deadline, f"rabbitmq-server does not answer: {said}"
            time.sleep(0.1)
        return self

    def _run(self, command: list[str], environment: dict[str, str], output: int) -> None:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        self.processes.append(process)

    def answers(self) -> bool:
        """Say whether it speaks AMQP: to a header that it cannot use it answers with its own (AMQP 0-9-1, 4.2.2)."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"AMQP\x00\x00\x00\x00")
                return probe.recv(4) == b"AMQP"
        except OSError:
            return False

    def stop(self) -> None:
        for process in reversed(self.processes):
            # Erlang first: the script waits for it, and ends when it is gone.
            for child in psutil.Process(process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    child.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> RabbitmqProcess:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
