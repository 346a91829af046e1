"""A real `realtime-gateway up` of a test, with its output, its processes and what it leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import psutil

from tests.support.free_port import free_port

EXAMPLE = Path(__file__).parents[2] / "examples" / "chat"
START_SECONDS = 60
STEP_SECONDS = 0.05

T = TypeVar("T")


class UpProcess:
    """`up` in a directory of the test; ended, if need be, when the block ends."""

    def __init__(
        self,
        file: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
        directory: Path | None = None,
        output_directory: Path | None = None,
        command: Sequence[str] = ("-m", "realtime_gateway.cli.main"),
    ) -> None:
        self.file = file
        self.port = port or free_port()
        self.directory = directory or file.parent / ".realtime-gateway"
        self.output = (output_directory or file.parent) / f"up-{self.port}.out"
        self.errors = (output_directory or file.parent) / f"up-{self.port}.err"
        words = ["up", str(file), "--port", str(self.port), *options]
        words += ["--directory", str(directory)] if directory else []
        with self.output.open("wb") as output, self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *command, *words],
                cwd=file.parent,
                env=inherited() | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace")

    @property
    def error_text(self) -> str:
        return self.errors.read_text(errors="replace")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def wait_for(self, pattern: str, *, seconds: float = START_SECONDS, after: int = 0) -> re.Match[str]:
        """Return the first match in the output from position ``after``."""
        found = until(lambda: re.search(pattern, self.text[after:]) or self._ended(), seconds, f"{pattern!r} in output")
        assert isinstance(found, re.Match), f"up ended without {pattern!r}:\n{self.text}\n{self.error_text}"
        return found

    def wait_until_ready(self) -> None:
        self.wait_for(re.escape(f"ready: {self.url}"))

    def wait_for_end(self, seconds: float = START_SECONDS) -> int:
        return self.process.wait(seconds)

    def children(self) -> dict[str, psutil.Process]:
        """Return the processes that run now by the last words of their names, such as `redis-0-1`."""
        found = {}
        for process in psutil.Process(self.process.pid).children(recursive=True):
            name = _name(process, self.directory)
            if name:
                found[name] = process
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def left_behind(self) -> list[str]:
        """Return the processes of this run that exist, and its directories."""
        processes = [process for process in psutil.process_iter() if belongs(process, self.directory)]
        described = [f"{process.pid} {_command(process)}" for process in processes]
        return described + [directory for directory, _, _ in os.walk(self.directory)]

    def wait_until_nothing_is_left(self, seconds: float = 20) -> None:
        until(lambda: not self.left_behind(), seconds, lambda: f"nothing left behind: {self.left_behind()}")

    def _ended(self) -> bool:
        return self.process.poll() is not None

    def __enter__(self) -> UpProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.wait_until_nothing_is_left()


def inherited() -> dict[str, str]:
    """Return this process's environment without the settings of the test run's own Django."""
    return {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}


def until(condition: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
    """Return the first true answer of ``condition``; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what if isinstance(what, str) else what()}"
        time.sleep(STEP_SECONDS)
    return answer


def belongs(process: psutil.Process, directory: Path) -> bool:
    """Tell whether a process was started by a run in ``directory``: its command line or environment names it."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        named = str(directory) in _command(process)
        return named or str(directory) in process.environ().get("REALTIME_GATEWAY_CONFIG", "")
    except psutil.Error:
        return False


def _name(process: psutil.Process, directory: Path) -> str:
    """Return a child's name without the resource's, from what its command line or environment says."""
    try:
        name = process.environ().get("REALTIME_GATEWAY_PROCESS", "") or Path(process.cwd()).name
        inside = str(directory) in process.cwd() or belongs(process, directory)
    except psutil.Error:
        return ""
    return name.partition("-")[2] if inside else ""


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


@contextmanager
def running_example(here: Path) -> Iterator[UpProcess]:
    """The example chat as `make up` runs it, with all that it writes in a directory of the test's."""
    environment = {"DATABASE": str(here / "db.sqlite3")}
    for words in (["migrate", "--verbosity", "0"], ["demo_data"]):
        subprocess.run([sys.executable, str(EXAMPLE / "manage.py"), *words], check=True, env=inherited() | environment)
    with UpProcess(
        EXAMPLE / "gateway.yaml", environment=environment, directory=here / "run", output_directory=here
    ) as up:
        up.wait_until_ready()
        yield up
