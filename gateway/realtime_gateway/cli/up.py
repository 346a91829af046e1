"""`realtime-gateway up FILE`: a RealtimeGateway as processes of this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from realtime_gateway.local.options import DEFAULT_HOST, DEFAULT_PORT, DIRECTORIES, UpOptions
from realtime_gateway.local.run import run as run_up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the resource, as YAML or JSON; edits are followed")
    parser.add_argument("--host", default=DEFAULT_HOST, help=f"address to listen on (default {DEFAULT_HOST})")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"port (default {DEFAULT_PORT})")
    parser.add_argument(
        "--directory",
        type=Path,
        help=f"where the run keeps its files; emptied first, removed at the end (default {DIRECTORIES}/NAME)",
    )
    parser.add_argument(
        "--chdir", dest="project", type=Path, help="where the application is imported (default: beside FILE)"
    )
    parser.add_argument("--plain", action="store_true", help="print lines instead of a live table")


def run(arguments: argparse.Namespace) -> int:
    """Run it until it is told to stop."""
    options = UpOptions(
        file=arguments.file,
        host=arguments.host,
        port=arguments.port,
        directory=arguments.directory,
        project=arguments.project,
        plain=arguments.plain,
    )
    try:
        return asyncio.run(run_up(options))
    except KeyboardInterrupt:
        return 0  # before there was anything to stop


def _port(word: str) -> int:
    port = int(word) if word.isdecimal() else 0
    if not 1 <= port <= 65_535:
        raise argparse.ArgumentTypeError(f"{word!r} is not a port from 1 to 65535")
    return port
