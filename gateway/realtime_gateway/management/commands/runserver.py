"""`manage.py runserver` on the gateway's server: Daphne's command and options, autoreload and static files included."""

from __future__ import annotations

# The server first: it decides on Twisted's reactor, and daphne would install its own.
from realtime_gateway.server.gateway_server import GatewayServer

# isort: split
from daphne.management.commands.runserver import Command as DaphneCommand


class Command(DaphneCommand):  # type: ignore[misc]  # daphne is untyped
    """Daphne's, with our server; ``--noasgi`` still means Django's own."""

    help = "Starts the gateway's server for development, with WebSockets, autoreload and static files."
    server_cls = GatewayServer
