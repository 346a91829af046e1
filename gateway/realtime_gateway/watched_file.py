"""One file that is replaced while the process runs, and what tells that it was.

A file is replaced atomically: by a rename, or, as Kubernetes does with ConfigMaps and Secrets, by a symbolic link in
the path that points to another directory. Either way the path leads to another file afterwards, which a ``stat`` tells.
"""

from __future__ import annotations

import os
from pathlib import Path

Identity = tuple[int, int, int, int]


class WatchedFile:
    """A file that is read again whenever it has become another one.

    What was read counts as seen only when ``take`` says so: content that cannot be used is read again at each look.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._name = os.fspath(path)
        self._taken: Identity | None = None
        self._found: Identity | None = None

    def look(self) -> bytes | None:
        """Return the content, or None while it is the one that was taken.

        Raises:
            OSError: it cannot be read.
        """
        found = _identity(os.stat(self._name))
        if found == self._taken:
            return None
        self._found = found  # before the reading: what is put there in between is another file at the next look
        return self.path.read_bytes()

    def take(self) -> None:
        """Count what ``look`` has returned as seen."""
        self._taken = self._found


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
