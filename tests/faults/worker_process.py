"""A process of a fault test, from the test's side: what it is told, and what it answers."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
ANSWER_SECONDS = 60


class WorkerProcess:
    """One process that runs tests/faults/worker.py."""

    def __init__(
        self, name: str, hosts: Sequence[Any] | None, options: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.channels: list[str] = []
        self.groups: list[str] = []
        self.paused = False
        argument = json.dumps({"name": name, "hosts": hosts, "options": dict(options)})
        self._directory = tempfile.TemporaryDirectory(prefix="rtg-worker-")
        self._log = Path(self._directory.name) / "log"
        self._answers: queue.Queue[str] = queue.Queue()
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker", argument],
                cwd=ROOT,
                env=os.environ | dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        threading.Thread(target=self._read, daemon=True).start()

    def tell(self, do: str, **arguments: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        try:
            line = self._answers.get(timeout=ANSWER_SECONDS)
        except queue.Empty:
            line = ""
        assert line, f"{self.name} does not answer ({self.process.poll()}):\n{self.log()[-6000:]}"
        return json.loads(line)

    def ask(self, do: str, **arguments: Any) -> Any:
        self.tell(do, **arguments)
        return self.answer()

    def pause(self) -> None:
        self.paused = True
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.paused = False
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self.resume()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._directory.cleanup()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._answers.put(line)
        self.process.stdout.close()
        self._answers.put("")
