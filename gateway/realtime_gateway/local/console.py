"""What `up` shows: plain lines where nobody watches, a live table at the bottom of a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Row:
    """One process in the table.

    Attributes:
        name: without the resource's name.
        role: what it is now.
        address: where it can be reached.
        pid: None while it does not run.
        state: in a word.
        note: what it waits for.
        restarts: how often it was started again.
        connections: of a gateway: open WebSockets.
    """

    name: str
    role: str
    address: str
    pid: int | None
    state: str
    note: str
    restarts: int
    connections: int | None


@dataclass(frozen=True)
class Screen:
    """All that the table shows."""

    title: str
    rows: tuple[Row, ...]


class Console(Protocol):
    """Where a run tells what happens; lines stay, the screen is replaced."""

    def say(self, line: str) -> None:
        """Show a line of our own."""

    def output(self, name: str, lines: Sequence[str]) -> None:
        """Show what a process has printed."""

    def show(self, screen: Screen) -> None:
        """Show how things stand."""

    def close(self) -> None:
        """Leave the terminal as it should be."""


class PlainConsole:
    """Lines for a file, a pipe or a service manager."""

    def say(self, line: str) -> None:
        """Print it."""
        self._print(f"{time.strftime('%H:%M:%S')} {line}")

    def output(self, name: str, lines: Sequence[str]) -> None:
        """Print them, each after the name."""
        for line in lines:
            self._print(f"{name} | {line}")

    def show(self, screen: Screen) -> None:
        """Print nothing: changes have been said."""

    def close(self) -> None:
        """Nothing to put back."""

    def _print(self, line: str) -> None:
        with suppress(OSError):  # whoever read it is gone; the run is not about its reader
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


class TableConsole:
    """A table that stays below the lines."""

    def __init__(self) -> None:
        from rich.console import Console as RichConsole
        from rich.live import Live

        self._console = RichConsole(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def say(self, line: str) -> None:
        """Print it above the table."""
        from rich.text import Text

        self._print(Text(f"{time.strftime('%H:%M:%S')} ", style="dim").append(Text(line, style="not dim")))

    def output(self, name: str, lines: Sequence[str]) -> None:
        """Print them above the table, each after the name."""
        from rich.text import Text

        for line in lines:
            self._print(Text(f"{name} | ", style="cyan").append(Text.from_ansi(line)))

    def show(self, screen: Screen) -> None:
        """Replace the table."""
        with suppress(OSError):  # the terminal is gone
            self._live.update(_table(screen, self._console.width), refresh=True)

    def close(self) -> None:
        """Take the table away; the lines stay."""
        with suppress(OSError):
            self._live.stop()

    def _print(self, text: RenderableType) -> None:
        with suppress(OSError):
            self._console.print(text)


def make_console(*, plain: bool) -> Console:
    """Return a table for a terminal, and plain lines for everything else or where rich is not installed."""
    if plain or not sys.stdout.isatty():
        return PlainConsole()
    try:
        return TableConsole()
    except ImportError:
        return PlainConsole()


STATE_STYLES = {"ready": "green", "starting": "yellow", "restarting": "bold red", "stopping": "yellow"}

# Below this many columns the addresses are left out: they are what people need least, and the widest.
WIDTH_WITH_ADDRESSES = 100


def _table(screen: Screen, width: int) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=screen.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("process", no_wrap=True)
    table.add_column("role", no_wrap=True)
    with_addresses = width >= WIDTH_WITH_ADDRESSES
    if with_addresses:
        table.add_column("address", no_wrap=True)
    table.add_column("pid", justify="right", no_wrap=True)
    table.add_column("state", min_width=max(map(len, STATE_STYLES)))  # the one that wraps where there is no room
    table.add_column("restarts", justify="right", no_wrap=True)
    table.add_column("connections", justify="right", no_wrap=True)
    for row in screen.rows:
        state = Text(row.state, style=STATE_STYLES.get(row.state, "dim"))
        if row.note:
            state.append(f" {row.note}", style="dim")
        table.add_row(
            row.name,
            Text(row.role, style="bold" if row.role == "primary" else ""),
            *([row.address] if with_addresses else []),
            "" if row.pid is None else str(row.pid),
            state,
            Text(str(row.restarts), style="red" if row.restarts else "dim"),
            "" if row.connections is None else str(row.connections),
        )
    return table
