"""The admin port of a process without a server of ours: ``/traces``, from a thread, on the loopback address.

Metrics are not here: they are sent over OTLP, since nothing finds this port to scrape it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from realtime_gateway.telemetry import recent

logger = logging.getLogger("realtime_gateway.telemetry")

LOOPBACK = "127.0.0.1"
REQUEST_SECONDS = 5.0


def serve(port: int, process: str | None) -> Callable[[], None]:
    """Answer on a port until what is returned is called; where the port is taken, the process goes on without."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            status, content_type, body = _answer(self.path, process)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: it is asked every second."""

    try:
        server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    except OSError as error:
        logger.warning("The admin port %d cannot be had, and is left out: %s", port, error.strerror)
        return lambda: None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="realtime-gateway-admin", daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return end


def _answer(target: str, process: str | None) -> tuple[int, str, bytes]:
    parts = urlsplit(target)
    if parts.path != "/traces":
        return 404, "text/plain", b"Here is /traces.\n"
    asked = parse_qs(parts.query).get("trace_id")
    return recent.answer(process, None if asked is None else asked[-1])
