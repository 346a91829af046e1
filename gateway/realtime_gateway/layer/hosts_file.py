"""The mounted host list, watched while the process runs, and what is said of lists that cannot be used."""

from __future__ import annotations

import logging
from pathlib import Path

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList
from realtime_gateway.watched_file import WatchedFile

log = logging.getLogger("realtime_gateway.layer")

# As many different complaints are remembered, so that each is said once.
_REMEMBERED = 100


class HostsFile:
    """One file, read again whenever it has become another one.

    Args:
        path: None: there is none, or it is not to be followed.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = None if path is None else WatchedFile(path)
        self._told: set[str] = set()

    def look(self) -> HostList | None:
        """Return what the file says if it is new; a file that cannot be used is told of once, and tried again."""
        if self._file is None:
            return None
        try:
            content = self._file.look()
            if content is None:
                return None
            hosts = HostList.from_json(content, str(self.path))
        except OSError as error:
            self.refused(f"{self.path} cannot be read: {error.strerror}. The host list in use stays.")
            return None
        except HostListInvalid as error:
            self.refused(f"{error} The host list in use stays.")
            return None
        self._file.take()
        return hosts

    def refused(self, reason: str) -> None:
        """Say why a host list, from here or from a shard, is not used; the same reason once."""
        if reason in self._told:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told.add(reason)
        log.warning("%s", reason)
