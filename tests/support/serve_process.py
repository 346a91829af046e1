"""A real `realtime-gateway serve` process, with its output in a file and its admin port as the sign of life."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.support.free_port import free_port
from tests.support.pages import get

START_SECONDS = 30
END_SECONDS = 30


class ServeProcess:
    """One `serve` of an application on 127.0.0.1, ended by its pid.

    Args:
        application: ``module:name``, found from ``directory``.
        options: more of the command line.
        listen: options that say where to listen; a free port by default.
    """

    def __init__(
        self,
        application: str,
        *options: str,
        directory: Path,
        environment: dict[str, str] | None = None,
        listen: tuple[str, ...] | None = None,
        admin: bool = True,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.port = free_port()
        self.admin_port = free_port() if admin else 0
        self.words = [sys.executable, "-m", "realtime_gateway.cli.main", "serve", application]
        self.words += ["-p", str(self.port)] if listen is None else [*listen]
        self.words += ["--admin-port", str(self.admin_port), *options]
        self.directory = directory
        self.environment = {**os.environ, "PYTHONWARNINGS": "error", **(environment or {})}
        self.pass_fds = pass_fds
        self.process: subprocess.Popen[bytes] | None = None
        self._output = tempfile.NamedTemporaryFile(prefix="rtg-serve-", suffix=".log")  # noqa: SIM115  (closed in stop)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """Everything the process has said so far, on both streams."""
        return Path(self._output.name).read_text()

    def launch(self) -> ServeProcess:
        """Start it without waiting."""
        self.process = subprocess.Popen(
            self.words,
            cwd=self.directory,
            env=self.environment,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            pass_fds=self.pass_fds,
        )
        return self

    def start(self) -> ServeProcess:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_until(self.ready, "ready", START_SECONDS)
        return self

    def ready(self) -> bool:
        return self.admin("readyz")[0] == 200

    def admin(self, page: str) -> tuple[int, str]:
        """Get a page of the admin port; status 0 when nothing answers."""
        answer = get(f"http://127.0.0.1:{self.admin_port}/{page}", seconds=5)
        return answer.status, answer.text

    def health(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.admin("healthz")[1])
        return facts

    def metric(self, line: str) -> float:
        """Return a sample by name and labels, exactly as the page writes them; 0 when it is not there."""
        found = re.search(rf"^{re.escape(line)} (\S+)$", self.admin("metrics")[1], re.MULTILINE)
        return float(found[1]) if found else 0.0

    def resident_bytes(self) -> int:
        """Return how much memory the process holds."""
        assert self.process is not None
        resident: int = psutil.Process(self.process.pid).memory_info().rss
        return resident

    def wait_until(self, condition: Any, what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        assert self.process is not None
        while not condition():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.output}"
            assert time.monotonic() < deadline, f"not {what} within {seconds} s:\n{self.output}"
            time.sleep(0.02)

    def wait_for_output(self, text: str, seconds: float = START_SECONDS) -> None:
        self.wait_until(lambda: text in self.output, f"saying {text!r}", seconds)

    def terminate(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Wait for its end and return the exit code."""
        assert self.process is not None
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds} s:\n{self.output}") from None

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._output.close()

    def __enter__(self) -> ServeProcess:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
