"""Becomes the program of a child, which then ends when the process that started it is gone.

Run as a script by a bare interpreter: ``python -I -S launch.py PARENT_PID PROGRAM [ARGUMENT…]``. On Linux the
kernel sends SIGTERM to the child when its parent dies, even of SIGKILL; the request outlives exec. Elsewhere the
watchdog alone sees to it.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask for the signal, then run the program in this process."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        # A parent that died before the request sends nothing any more.
        if os.getppid() != int(parent):
            sys.exit("the process that started this one is gone")
    try:
        os.execvp(command[0], command)  # noqa: S606 - `up` gives the program and its words; no shell reads them
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
