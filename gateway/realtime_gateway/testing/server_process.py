"""The process of a live server test case: serves until its standard input ends, so it never outlives the tests."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from realtime_gateway.server.gateway_server import GatewayServer
from realtime_gateway.server.options import ServerOptions
from realtime_gateway.testing.errand import Errand, read_errand

# Tests do not wait for a drain to be gentle.
DRAIN_SECONDS = 1.0


def main() -> None:
    """Read the errand from standard input, serve, and end when standard input does."""
    errand = read_errand(sys.stdin.buffer)
    server = GatewayServer(
        load_application(errand),
        endpoints=[f"tcp:port={errand.port}:interface={errand.host}"],
        options=ServerOptions(drain_period_seconds=DRAIN_SECONDS),
    )

    def ready() -> None:
        os.write(errand.ready_fd, str(server.listening_addresses[0][1]).encode())
        os.close(errand.ready_fd)
        threading.Thread(target=drain_at_end_of_input, args=[server], daemon=True).start()

    server.ready_callable = ready
    server.run()


def load_application(errand: Errand) -> Any:
    """Set Django up as the tests have it, and import the application."""
    import django
    from django.conf import settings
    from django.utils.module_loading import import_string

    os.environ["DJANGO_SETTINGS_MODULE"] = errand.settings_module
    for name, value in errand.overrides.items():
        setattr(settings, name, value)
    for alias, name in errand.database_names.items():
        settings.DATABASES[alias]["NAME"] = name
    django.setup()
    application = import_string(errand.application or settings.ASGI_APPLICATION)
    if errand.serve_static:
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler

        application = ASGIStaticFilesHandler(application)
    return application


def drain_at_end_of_input(server: GatewayServer) -> None:
    """Wait for the end of standard input: the tests are over, or their process is gone."""
    sys.stdin.buffer.read()
    server.drain()


if __name__ == "__main__":
    main()
