"""A small HTTP/1.1 server for one person on this machine: GET only, one request per connection, loopback only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qs, urlsplit

LOOPBACK = "127.0.0.1"
OWN_NAMES = (LOOPBACK, "localhost", "::1")
HEAD_BYTES = 16 * 1024
REQUEST_SECONDS = 5.0
# Nothing from elsewhere, nothing inline, and no page of somebody else around it.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Connection": "close",
}


@dataclass(frozen=True)
class Request:
    """What is asked for; of each word in the query the last value counts."""

    path: str
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: HTTPStatus = HTTPStatus.OK


Handler = Callable[[Request], Awaitable[Answer]]


class WebServer:
    """Serves what ``handle`` answers, from ``start`` to ``stop``."""

    def __init__(self, handle: Handler, port: int) -> None:
        self._handle = handle
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{LOOPBACK}:{self._port}/"

    async def start(self) -> None:
        """Listen; raises OSError where the port is taken."""
        self._server = await asyncio.start_server(self._connected, LOOPBACK, self._port, limit=HEAD_BYTES)

    async def stop(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    answer = await self._answer(reader)
                    writer.write(_bytes_of(answer))
                    await writer.drain()
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> Answer:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
            request_line, *lines = head.split("\r\n")
            method, target, _ = request_line.split(" ")
            parts = urlsplit(target)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            return Answer(b"This is no HTTP request.\n", status=HTTPStatus.BAD_REQUEST)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        # A page of somebody else whose name leads here (DNS rebinding) must not read it. The port may be another one
        # where somebody forwards it.
        if _name_in(headers.get("host", "")) not in OWN_NAMES:
            return Answer(b"Open it by its own address.\n", status=HTTPStatus.MISDIRECTED_REQUEST)
        if method != "GET":
            return Answer(b"There is nothing to change here.\n", status=HTTPStatus.METHOD_NOT_ALLOWED)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        return await self._handle(Request(parts.path, query))


def _name_in(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _bytes_of(answer: Answer) -> bytes:
    headers = {**HEADERS, "Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n{head}\r\n".encode() + answer.body
