"""The `realtime-gateway` command: runs a subcommand and turns our errors into one message and exit code 1."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from realtime_gateway import __version__
from realtime_gateway.errors import GatewayError

# Name and one line of help; the module of that name is imported only when its command is asked for, so that `serve` in
# a pod never needs what `up` needs.
COMMANDS = {
    "serve": "run an ASGI application on the gateway's server",
    "up": "run a RealtimeGateway resource as local processes",
    "hosts": "show, compare or change the list of Redis shards",
    "revoke": "close every WebSocket of a user, on all pods",
    "trace": "send one message through a running gateway and show its way",
    "status": "show a RealtimeGateway on a Kubernetes cluster as a tree",
}

# As a shell has it for a command that SIGINT has ended.
INTERRUPTED = 128 + signal.SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code (2 for a misuse of the command line, as argparse has it)."""
    try:
        return _run_command(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:  # while it was being imported; a command that runs has its own way to end
        return INTERRUPTED


def _run_command(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="realtime-gateway", description="Realtime gateway for Django Channels.")
    parser.add_argument("--version", action="version", version=f"realtime-gateway {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, line in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=line, description=line)
        if name in words[:1]:
            import_module(f"realtime_gateway.cli.{name}").add_arguments(subparser)
    arguments = parser.parse_args(words)
    return exit_code(
        arguments.command, lambda: import_module(f"realtime_gateway.cli.{arguments.command}").run(arguments)
    )


def exit_code(command: str, run: Callable[[], int]) -> int:
    """Run a command; one of our errors becomes its message and its remedy on stderr, and exit code 1."""
    try:
        return run()
    except GatewayError as error:
        print(f"realtime-gateway {command}: {error.message}", file=sys.stderr)
        if error.remedy:
            print(error.remedy, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
