"""The mounted host list, watched while the process runs, and what is said of lists that cannot be used.

A file is replaced atomically: by a rename, or, as Kubernetes does with a ConfigMap, by a symbolic link in the path that
points to another directory. Either way the path leads to another file afterwards, which one ``stat`` tells.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList

log = logging.getLogger("realtime_gateway.layer")

# As many different complaints are remembered, so that each is said once.
_REMEMBERED = 100

Identity = tuple[int, int, int, int]


class HostsFile:
    """One file, read again whenever it has become another one.

    Args:
        path: None: there is none, or it is not to be followed.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._read: Identity | None = None  # what was last read and understood
        self._told: set[str] = set()

    def look(self) -> HostList | None:
        """Return what the file says if it is new; a file that cannot be used is told of once, and tried again."""
        if self.path is None:
            return None
        try:
            found = _identity(os.stat(self.path))
            if found == self._read:
                return None
            hosts = HostList.from_json(self.path.read_bytes(), str(self.path))
        except OSError as error:
            self.refused(f"{self.path} cannot be read: {error.strerror}. The host list in use stays.")
            return None
        except HostListInvalid as error:
            self.refused(f"{error} The host list in use stays.")
            return None
        self._read = found
        return hosts

    def refused(self, reason: str) -> None:
        """Say why a host list, from here or from a shard, is not used; the same reason once."""
        if reason in self._told:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(reason)
        log.warning("%s", reason)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
