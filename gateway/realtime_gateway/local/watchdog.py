"""Ends what `up` started, and removes its directory, when `up` itself is gone without having done so.

Run as a script by a bare interpreter, in a session of its own: ``python -I -S watchdog.py DIRECTORY``. It reads lines
from its standard input, whose other end `up` holds: ``+PID`` for a child that leads its own process group, ``-PID`` for
one that has ended, ``done`` when nothing is left to do. The end of the input without ``done`` means that `up` was
killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_SECONDS = 5.0
STEP_SECONDS = 0.05


def main() -> None:
    """Watch until the input ends, then clean up if that was not announced."""
    directory = sys.argv[1]
    groups: set[int] = set()
    for line in sys.stdin:
        word = line.strip()
        if word == "done":
            return
        (groups.add if word[0] == "+" else groups.discard)(int(word[1:]))
    end(groups)
    shutil.rmtree(directory, ignore_errors=True)
    above = os.path.dirname(directory)
    if os.path.basename(above) == ".realtime-gateway":
        with contextlib.suppress(OSError):  # other runs' directories are in it
            os.rmdir(above)


def end(groups: set[int]) -> None:
    """Ask every group to end, wait a little, and kill what is left."""
    left = {group for group in groups if send(group, signal.SIGTERM)}
    deadline = time.monotonic() + GRACE_SECONDS
    while left and time.monotonic() < deadline:
        time.sleep(STEP_SECONDS)
        left = {group for group in left if send(group, 0)}
    for group in left:
        send(group, signal.SIGKILL)


def send(group: int, number: int) -> bool:
    """Send a signal to a process group and tell whether it exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
