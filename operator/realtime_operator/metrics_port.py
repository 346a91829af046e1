"""The port on which Prometheus is answered: HTTP for one page, on the operator's own event loop.

Every pod may connect to it, so nobody can keep much of it: a connection has one request, some seconds and some memory,
and when too many are open the oldest makes room. Whoever sends its request at once is answered at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from realtime_gateway.errors import ConfigurationError
from realtime_operator import recording

# From the first byte to the last of the answer; Prometheus itself gives up after 10 s unless it is told otherwise.
EXCHANGE_SECONDS = 10.0
# A few scrapers at once, and people who look.
MOST_CONNECTIONS = 32
MOST_HEAD_BYTES = 8192
log = logging.getLogger(__name__)


@asynccontextmanager
async def serving(port: int) -> AsyncIterator[None]:
    """Answer Prometheus on a port of every address, IPv6 and IPv4; 0 means not at all.

    Raises:
        ConfigurationError: somebody else has the port.
    """
    if not port:
        yield
        return
    try:
        listening = _listen(port)
    except OSError as error:
        raise ConfigurationError(
            f"Metrics cannot be served on port {port}: {error}.",
            "Set REALTIME_GATEWAY_OPERATOR_METRICS_PORT to a port that is free, or to 0.",
        ) from error
    answering = Answering()
    server = await asyncio.start_server(answering.answer, sock=listening, limit=MOST_HEAD_BYTES)
    try:
        with recording.of_the_process():
            yield
    finally:
        server.close()
        await answering.close()


def _listen(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        # A node may know IPv6 and have it switched off.
        with suppress(OSError):
            return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("0.0.0.0", port))


class Answering:
    """The connections that are open."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}  # in the order in which they came

    def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a new connection's one request."""
        if len(self._open) >= MOST_CONNECTIONS:
            self._end(next(iter(self._open)))
        task = asyncio.create_task(_exchange(reader, writer), name="metrics")
        self._open[task] = writer
        task.add_done_callback(self._end)

    async def close(self) -> None:
        """End all of them."""
        tasks = list(self._open)
        for task in tasks:
            self._end(task)
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, task: asyncio.Task[None]) -> None:
        """End an exchange, or what has ended: also one that was cancelled before it began has its connection closed."""
        if (writer := self._open.pop(task, None)) is not None:
            task.cancel()
            writer.transport.abort()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(EXCHANGE_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(head.decode("latin-1")))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        log.debug("A connection for metrics: %r", error)


def _response(head: str) -> bytes:
    request, *lines = head.split("\r\n")
    method, _, rest = request.partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return _message("405 Method Not Allowed", "text/plain", b"GET only\n", "Allow: GET, HEAD\r\n")
    if path not in ("/", "/metrics"):
        return _message("404 Not Found", "text/plain", b"/metrics\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    page, kind = recording.page(headers.get("accept", ""))
    message = _message("200 OK", kind, page)
    return message if method == "GET" else message[: -len(page)]


def _message(status: str, kind: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + body
