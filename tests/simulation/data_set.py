"""The keys of one Redis server, and a journal of every change for a replica.

Its answers are those of a real server: tests/integration/redis/scripts runs the same cases over both.
"""

from __future__ import annotations

from typing import Any

from tests.simulation.commands import COMMANDS, WRITES
from tests.simulation.values import WRONG_TYPE, Arguments, RedisError, Stream


class DataSet:
    """Keys and values, with a journal of every change as a replica would receive it.

    Attributes:
        journal: (when, the server's clock in ms, command, arguments) of each write since the last full copy.
    """

    def __init__(self) -> None:
        self.values: dict[bytes, Any] = {}
        self.expires: dict[bytes, int] = {}  # key → when, in ms of the server's clock
        self.journal: list[tuple[float, int, bytes, Arguments]] = []
        self.now_ms = 0
        self.at = 0.0  # virtual time, for the journal

    def copy(self) -> DataSet:
        """Return what a replica has after a full synchronisation."""
        made = DataSet()
        for key, value in self.values.items():
            made.values[key] = value if isinstance(value, bytes) else value.copy()
        made.expires = self.expires.copy()
        return made

    def apply(self, journal: list[tuple[float, int, bytes, Arguments]]) -> None:
        """Do what another server did."""
        for _, self.now_ms, command, arguments in journal:
            COMMANDS[command](self, arguments)

    def execute(self, command: bytes, arguments: Arguments) -> Any:
        """Run one command; raises RedisError."""
        run = COMMANDS.get(command)
        if run is None:
            raise NotImplementedError(f"the simulated server has to learn {command.decode()}")
        if command not in WRITES:
            return run(self, arguments)
        if command == b"XADD":
            arguments = self._with_id(arguments)
        result = run(self, arguments)
        self.journal.append((self.at, self.now_ms, command, arguments))
        return result

    def _with_id(self, arguments: Arguments) -> Arguments:
        place = arguments.index(b"*") if b"*" in arguments[:6] else -1
        if place < 0:
            return arguments
        stream = self.typed(arguments[0], Stream)
        last = stream.last if stream else (0, 0)
        chosen = (self.now_ms, 0) if self.now_ms > last[0] else (last[0], last[1] + 1)
        return (*arguments[:place], b"%d-%d" % chosen, *arguments[place + 1 :])

    def find(self, key: bytes) -> Any:
        """Return a value that has not expired."""
        expires = self.expires.get(key)
        if expires is not None and expires <= self.now_ms:
            self.drop(key)
        return self.values.get(key)

    def typed(self, key: bytes, kind: type[Any]) -> Any:
        value = self.find(key)
        if value is not None and not isinstance(value, kind):
            raise RedisError(WRONG_TYPE)
        return value

    def made(self, key: bytes, kind: type[Any]) -> Any:
        value = self.typed(key, kind)
        if value is None:
            value = self.values[key] = kind()
        return value

    def drop(self, key: bytes) -> int:
        self.expires.pop(key, None)
        return int(self.values.pop(key, None) is not None)

    def drop_if_empty(self, key: bytes, value: Any) -> None:
        if not value:
            self.drop(key)
