"""The watchdog of a run, from the side of `up`."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from realtime_gateway.local import watchdog

END_SECONDS = 5.0


class Watchdog:
    """A process that cleans up after `up` when nobody else can; it is told about every child.

    Args:
        directory: removed by it when this process is gone.
        lock: inherited by it, so that nobody takes the directory before it is clean.
    """

    def __init__(self, directory: Path, lock: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=(lock,),
        )

    def started(self, pid: int) -> None:
        """Note a child that leads a process group of its own."""
        self._tell(f"+{pid}")

    def ended(self, pid: int) -> None:
        """Forget a child that has been waited for."""
        self._tell(f"-{pid}")

    def dismiss(self) -> None:
        """Send it away: everything has ended, the directory is ours to remove."""
        self._tell("done")
        if self._process.stdin is not None:
            with suppress(OSError):  # somebody killed it, and a line that it did not get is still in the buffer
                self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        if self._process.stdin is None:
            return
        try:
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        except OSError:
            pass  # somebody killed it; the run goes on without
