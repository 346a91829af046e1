"""The log file of one child: written by the child itself, followed and kept short by `up`."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

SHOWN_LINES_AT_ONCE = 40
LARGEST_BYTES = 8 * 1024 * 1024
LAST_LINES = 30


class ChildLog:
    """What one child has printed.

    The child appends to the file, so emptying it from here loses nothing that is written afterwards.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._position = 0
        self._began = 0  # where the present run of the child begins

    def begin(self) -> BinaryIO:
        """Open it for a child that is about to start."""
        log = self.path.open("ab")
        self._began = log.tell()
        return log

    def new_lines(self) -> list[str]:
        """Return the whole lines since the last call; of very many only the first ones and how many there were."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._position)
                whole = file.read().rpartition(b"\n")[0]
        except FileNotFoundError:
            return []
        if not whole:
            return []
        self._position += len(whole) + 1
        if self._position > LARGEST_BYTES:
            with self.path.open("r+b") as file:
                file.truncate(0)
            self._position = self._began = 0
        lines = whole.decode(errors="replace").splitlines()
        left_out = len(lines) - SHOWN_LINES_AT_ONCE
        return lines if left_out <= 0 else [*lines[:SHOWN_LINES_AT_ONCE], f"… {left_out} more lines in {self.path}"]

    def remove(self) -> None:
        """Delete it: a later child of the same name starts with an empty one."""
        self.path.unlink(missing_ok=True)

    def last_lines(self) -> list[str]:
        """Return the end of what it has printed since its start, for somebody who wants to know why the child ended."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._began)
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-LAST_LINES:]
