"""What tests have measured, shown at the end of a run whether they pass or not: ``tests/conftest.py`` prints it."""

from __future__ import annotations

_LINES: list[str] = []


def show(line: str) -> None:
    """Have a line printed in the summary of this run, in the order in which they came."""
    _LINES.append(line)


def shown() -> list[str]:
    """Return all lines until now."""
    return list(_LINES)
