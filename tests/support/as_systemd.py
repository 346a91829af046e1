"""Starts a program as systemd starts a service with sockets: from descriptor 3 on, and named in its environment.

python as_systemd.py 7,9 web:api program arguments…
"""

from __future__ import annotations

import fcntl
import os
import sys

FIRST_FD = 3
ABOVE_ALL = 100


def main(fds: str, names: str, *command: str) -> None:
    # Out of the way first: one of them may have the number that another one is to get.
    sockets = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, ABOVE_ALL) for fd in fds.split(",")]
    for number, fd in enumerate(sockets):
        os.dup2(fd, FIRST_FD + number)
    listen = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(sockets)), "LISTEN_FDNAMES": names}
    os.execve(command[0], list(command), {**os.environ, **listen})


if __name__ == "__main__":
    main(*sys.argv[1:])
