"""The admin port of a process without a server of ours: ``/metrics`` and ``/traces``, from a thread of its own.

In a pod every other pod may connect to it, so nobody can keep much of it: a connection has one request and
REQUEST_SECONDS in all, however it spends them, and where there are MOST_CONNECTIONS the oldest makes room for the next.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from realtime_gateway.telemetry import metrics_page, recent

logger = logging.getLogger("realtime_gateway.telemetry")

LOOPBACK = "127.0.0.1"
REQUEST_SECONDS = 5.0
# A few scrapers at once, and people who look.
MOST_CONNECTIONS = 16


class BoundedServer(ThreadingHTTPServer):
    """A thread for each connection, and no more of them than MOST_CONNECTIONS."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        # Oldest first → when it came.
        self._open: dict[socket.socket, float] = {}
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer from a thread; the oldest connection ends where there is no place for one."""
        if not self._places.acquire(blocking=False):
            _cut(list(self._open)[:1])
            # Its thread ends when it looks at its socket the next time, unless it is being answered just now.
            if not self._places.acquire(timeout=REQUEST_SECONDS):
                self.shutdown_request(request)
                return
        self._open[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._open[request]
            self._places.release()

    def service_actions(self) -> None:
        """End connections that have had their time; called twice a second, and after each that comes."""
        latest = time.monotonic() - REQUEST_SECONDS
        _cut([request for request, came_at in list(self._open.items()) if came_at < latest])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing to stderr of a client that has gone."""
        logger.debug("A connection to the admin port failed", exc_info=True)


def _cut(connections: Iterable[socket.socket]) -> None:
    for connection in connections:
        with suppress(OSError):  # its thread has closed it meanwhile
            connection.shutdown(socket.SHUT_RDWR)


def serve(address: tuple[str, int], process: str | None) -> Callable[[], None]:
    """Answer at an address until what is returned is called; where the port is taken, the process goes on without."""
    registry = metrics_page.make_registry()

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_SECONDS

        def do_GET(self) -> None:
            path = urlsplit(self.path)
            status, content_type, body = 404, "text/plain", b"Here are /metrics and /traces.\n"
            if path.path == "/metrics":
                status = 200
                content_type, body = metrics_page.render(registry, self.headers.get("accept", ""))
            elif path.path == "/traces":
                status, content_type, body = recent.answer(process, parse_qs(path.query).get("trace_id", [None])[-1])
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing: it is asked every second."""

    try:
        server = BoundedServer(address, Handler)
    except OSError as error:
        logger.warning("The admin port %d cannot be had, and is left out: %s", address[1], error.strerror)
        return lambda: None
    thread = threading.Thread(target=server.serve_forever, name="realtime-gateway-admin", daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        thread.join()
        server.server_close()

    return end
