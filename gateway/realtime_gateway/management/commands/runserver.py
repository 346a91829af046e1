"""`manage.py runserver` on the gateway's server: Daphne's command and options, autoreload and static files included."""

from __future__ import annotations

from typing import Any

# The server first: it decides on Twisted's reactor, and daphne would install its own.
from realtime_gateway.server.gateway_server import GatewayServer
from realtime_gateway.server.options import ServerOptions

# isort: split
from daphne.management.commands.runserver import Command as DaphneCommand

from realtime_gateway import __version__
from realtime_gateway.tracing import trace_command


class DevelopmentServer(GatewayServer):
    """The gateway's server for one developer, who does not want to wait for a drain."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        named.setdefault("options", ServerOptions(drain_period_seconds=1))
        super().__init__(*arguments, **named)


class Command(DaphneCommand):  # type: ignore[misc]  # Daphne ships no types, so the base is Any
    """Daphne's, with our server; ``--noasgi`` still means Django's own."""

    help = "Starts the gateway's server for development, with WebSockets, autoreload and static files."
    server_cls = DevelopmentServer

    def inner_run(self, *arguments: Any, **options: Any) -> None:
        """Say whose server it is, and run it; under autoreload in a thread, again after each change."""
        if options.get("use_asgi", True):
            self.stdout.write(f"RealtimeGateway {__version__}")
        with trace_command():
            super().inner_run(*arguments, **options)
