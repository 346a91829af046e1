"""A command that serves HTTP on a port of 127.0.0.1: started, waited for, read and ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

import httpx

from tests.support.free_port import free_port

START_SECONDS = 30
STOP_SECONDS = 20
PYTHON = sys.executable


class ServerProcess:
    """One process, or one that has children of its own.

    Args:
        command: what to run, given the port to serve on.
        cwd: where to run it.
        environment: what differs from this process's.
        ready: the path that answers once it is ready, on ``ready_port`` or on its own port.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str]],
        cwd: Path,
        environment: Mapping[str, str] | None = None,
        *,
        port: int | None = None,
        ready: str = "/",
        ready_port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.command = list(command(self.port))
        self.cwd = cwd
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.ready_url = f"http://127.0.0.1:{ready_port or self.port}{ready}"
        self.process: subprocess.Popen[bytes] | None = None
        self._descriptor, name = tempfile.mkstemp(prefix="rtg-output-")
        self._log = Path(name)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def output(self) -> str:
        """All that it has written until now."""
        return self._log.read_text(errors="replace")

    def start(self) -> ServerProcess:
        self.process = subprocess.Popen(
            self.command,
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=self._descriptor,
            stderr=subprocess.STDOUT,
        )
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.output()}"
            assert time.monotonic() < deadline, f"not ready: {self.output()}"
            time.sleep(0.05)
        return self

    def answers(self) -> bool:
        try:
            return httpx.get(self.ready_url, timeout=2, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not enough."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        os.close(self._descriptor)
        self._log.unlink()

    def __enter__(self) -> ServerProcess:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stdout.write(self.output())  # pytest shows it beside the failure
        self.stop()
