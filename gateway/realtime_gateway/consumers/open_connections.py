"""Which database connections are open in which thread, and whether a thread must look after its own now.

Django's connections belong to the thread that opened them, so only that thread may close them; but whether they are
open, and whether Django's rule wants them closed, may be read from anywhere.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

# The most that a connection which stays open for long (CONN_MAX_AGE) waits to be looked at.
PERIOD_SECONDS = 1.0


class Look(Enum):
    """Whether a thread has to look after its connections."""

    NEVER = "none of its connections is open"
    LATER = "it looked at them less than a period ago, and nothing has happened to them since"
    NOW = "one is new, or is to be closed, or the last look is a period ago"


@dataclass
class OpenConnection:
    """One connection since it was opened.

    Attributes:
        connection: held weakly, since a thread's connections end with it.
        thread: the identity of the thread that opened it.
        looked_at: its thread has looked after it at least once.
        stays: it was to be closed and is open all the same, as SQLite's in-memory databases are.
    """

    connection: weakref.ref[BaseDatabaseWrapper]
    thread: int
    looked_at: bool = False
    stays: bool = False

    def is_open(self) -> bool:
        """Say whether it exists and is connected."""
        connection = self.connection()
        return connection is not None and connection.connection is not None

    def to_be_closed(self, now: float) -> bool:
        """Say whether ``close_if_unusable_or_obsolete`` would do something about it; reads what that reads."""
        connection = self.connection()
        return connection is not None and (
            connection.errors_occurred
            or connection.autocommit != connection.settings_dict["AUTOCOMMIT"]
            or (connection.close_at is not None and now >= connection.close_at)
        )

    def is_urgent(self, now: float) -> bool:
        """Say whether its thread must look at it without waiting for the period to end."""
        return not self.looked_at or (not self.stays and self.to_be_closed(now))


class OpenConnections:
    """All of a process; safe to use from any thread. Times are ``time.monotonic()``, as Django's own.

    Attributes:
        connections: empty only when none is open.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.connections: dict[int, OpenConnection] = {}
        self._looked_at: dict[int, float] = {}

    def opened(self, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        """Receive Django's signal ``connection_created``, which is sent by the thread that connects."""
        with self._lock:
            self.connections[id(connection)] = OpenConnection(weakref.ref(connection), threading.get_ident())

    def look(self, thread: int | None, now: float) -> Look:
        """Say whether ``thread`` has to look after its connections; None is a thread not known yet."""
        with self._lock:
            self._forget_closed()
            if thread is None:
                return Look.NOW if self.connections else Look.NEVER
            own = [entry for entry in self.connections.values() if entry.thread == thread]
            if not own:
                return Look.NEVER
            if any(entry.is_urgent(now) for entry in own):
                return Look.NOW
            return Look.NOW if now >= self._looked_at[thread] + PERIOD_SECONDS else Look.LATER

    def looked(self, thread: int, now: float) -> None:
        """Note that ``thread`` has just looked after its connections."""
        with self._lock:
            self._forget_closed()
            for entry in self.connections.values():
                if entry.thread == thread:
                    entry.looked_at = True
                    entry.stays = entry.to_be_closed(now)
                    self._looked_at[thread] = now

    def next_look(self, thread: int) -> float:
        """Return when the period since the thread's last look ends."""
        with self._lock:
            return self._looked_at.get(thread, 0.0) + PERIOD_SECONDS

    def _forget_closed(self) -> None:
        self.connections = {key: entry for key, entry in self.connections.items() if entry.is_open()}
        threads = {entry.thread for entry in self.connections.values()}
        self._looked_at = {thread: at for thread, at in self._looked_at.items() if thread in threads}
