"""HTTP requests ⇄ ASGI, and the moment when one becomes a WebSocket: Daphne's request class, ``process`` replaced."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from weakref import WeakSet

from realtime_gateway.server import installed_reactor  # noqa: F401  (before daphne: it decides the reactor)

# isort: split
from daphne.http_protocol import HTTPFactory, WebRequest
from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES, parse_x_forwarded_for
from twisted.protocols.policies import ProtocolWrapper
from twisted.web import http

from realtime_gateway.server import handshake
from realtime_gateway.server.application_run import ApplicationRun
from realtime_gateway.telemetry import recorder

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer


logger = logging.getLogger("realtime_gateway.server")


@dataclass(frozen=True)
class RequestFacts:
    """What a request says, in ASGI's forms; shared by both kinds of scope.

    Attributes:
        raw_path: ASCII, as sent, without the query.
        headers: names in lower case, without those that hold an underscore (CVE-2015-0219).
        client: [host, port], or None on a Unix socket.
        scheme: http or https, as the client sees it.
    """

    raw_path: bytes
    query_string: bytes
    headers: list[tuple[bytes, bytes]]
    root_path: str
    scheme: str
    client: list[Any] | None
    server: list[Any] | None


class BodyQueue:
    """What ``receive`` reads for a request: its body in pieces as they are asked for, then the client's leaving."""

    def __init__(self, loop: asyncio.AbstractEventLoop, content: Any, piece_bytes: int) -> None:
        self._loop = loop
        self._content = content
        self._piece_bytes = piece_bytes
        self._body_done = False
        self._left = False
        self._waiters: list[asyncio.Future[None]] = []

    def put_nowait(self, message: dict[str, Any]) -> None:
        """The client has left, or has its whole response; Daphne's request calls this with ``http.disconnect``."""
        self._left = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()

    async def get(self) -> dict[str, Any]:
        """Return the next piece of the body, or wait until the client leaves."""
        if not self._body_done and not self._content.closed:
            piece = self._content.read(self._piece_bytes)
            self._body_done = len(piece) < self._piece_bytes
            return {"type": "http.request", "body": piece, "more_body": not self._body_done}
        if not self._left:
            # Several readers, and cancelled ones, are fine: each waits for a future of its own.
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        return {"type": "http.disconnect"}


class GatewayRequest(WebRequest):
    """One HTTP request."""

    server: GatewayServer
    run: ApplicationRun | None = None
    path: bytes
    transport: Any
    _counted = False
    _timer: asyncio.TimerHandle | None = None
    _drained: asyncio.Future[None] | None = None

    def process(self) -> None:
        """Hand a whole request to the application, or to a WebSocket."""
        try:
            self._process()
        except Exception:
            logger.exception("A request could not be handled")
            if self.transport is not None:
                self.basic_error(500, b"Internal Server Error", "The server failed.")

    def _process(self) -> None:
        self.channel.has_served = True
        self.request_start = self.server.loop.time()
        problem = self._problem()
        if problem:
            self.path = self.path if self.path.isascii() else b"/"
            self.basic_error(400, b"Bad Request", problem)
            return
        self.query_string = self.uri.partition(b"?")[2]
        self.facts = self._facts()
        self.client_addr = self.facts.client
        if handshake.wants_websocket(self.requestHeaders.getRawHeaders(b"upgrade")):
            self._process_upgrade()
        else:
            self._process_http()

    def _problem(self) -> str:
        if not self.path.isascii():
            return "Invalid characters in path"
        if not self.uri.isascii():
            return "Invalid query string"
        for name, values in self.requestHeaders.getAllRawHeaders():
            if not HEADER_NAME_RE.fullmatch(name):
                return "Invalid header name"
            if any(INVALID_HEADER_VALUE_BYTES.intersection(value) for value in values):
                return "Invalid header value"
        return ""

    def _facts(self) -> RequestFacts:
        server = self.server
        root_path = server.root_path
        headers = []
        for name, values in self.requestHeaders.getAllRawHeaders():
            if b"_" in name:
                continue
            if name.lower() == b"daphne-root-path":
                root_path = unquote(values[-1].decode("ascii", "replace"))
            else:
                headers += [(name.lower(), value) for value in values]
        client, here = _address(self.client), _address(self.host)
        scheme = "https" if self.isSecure() else "http"
        if server.proxy_forwarded_address_header:
            client, scheme = parse_x_forwarded_for(
                self.requestHeaders,
                server.proxy_forwarded_address_header,
                server.proxy_forwarded_port_header,
                server.proxy_forwarded_proto_header,
                client,
                scheme,
            )
        return RequestFacts(self.path, self.query_string, headers, root_path, scheme, client, here)

    # A WebSocket.

    def _process_upgrade(self) -> None:
        verdict = handshake.examine(self.method, self._http_version(), self.facts.headers)
        if isinstance(verdict, handshake.Refusal):
            recorder.handshakes.add(1, "malformed")
            self._answer(verdict.status, verdict.reason, list(verdict.headers))
        elif ending := self.server.no_room():
            recorder.handshakes.add(1, ending.label)
            self._answer(ending.status, ending.reason, [(b"retry-after", b"1")])
        else:
            self._become_websocket(verdict)

    def _become_websocket(self, upgrade: handshake.Upgrade) -> None:
        protocol = self.server.ws_factory.buildProtocol(None)
        channel, transport = self.channel, self.transport
        self.transport = None
        # The HTTP channel is the transport's producer, which would keep it and this request alive.
        transport.unregisterProducer()
        # Frames that came in the same segment as the request are still in the channel's hands, and follow.
        channel.rawDataReceived = protocol.dataReceived
        if isinstance(transport, ProtocolWrapper):  # TLS
            transport.wrappedProtocol = protocol
        else:
            transport.protocol = protocol
        self.server.protocol_disconnected(self)
        # Channel and request know each other: without this they would wait for the garbage collector.
        self.server.http_factory.forget(channel)
        channel.requests.clear()
        protocol.makeConnection(transport)
        protocol.begin(self.facts, upgrade)

    def _answer(self, status: int, text: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer in place of the application, and close: the client did not mean to go on with HTTP."""
        self.channel.persistent = False
        body = f"{text}\n".encode()
        described = [
            *headers,
            (b"connection", b"close"),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
        ]
        self.handle_reply({"type": "http.response.start", "status": status, "headers": described})
        self.handle_reply({"type": "http.response.body", "body": body})

    # An HTTP request.

    def _process_http(self) -> None:
        facts, server = self.facts, self.server
        self._counted = True
        recorder.connections.add(1, "http")
        self.content.seek(0, 0)
        self.registerProducer(self, True)
        self.application_queue = BodyQueue(server.loop, self.content, server.request_buffer_size)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._http_version(),
            "method": self.method.decode("ascii"),
            "scheme": facts.scheme,
            "path": unquote(facts.raw_path.decode("ascii")),
            "raw_path": facts.raw_path,
            "root_path": facts.root_path,
            "query_string": facts.query_string,
            "headers": facts.headers,
            "client": facts.client,
            "server": facts.server,
            **server.scope_state(),
        }
        self.run = server.start_application(self, scope, self.application_queue.get, self.application_sent)
        if server.http_timeout:
            # Upstream's check asks for more than the timeout; the loop's clock is exact to a millisecond only.
            self._timer = server.loop.call_later(server.http_timeout + 0.01, self.check_timeouts)

    async def application_sent(self, message: dict[str, Any]) -> None:
        """Send a part of the response."""
        if self.finished or self.channel is None or self._disconnected:
            return
        try:
            self.server.check_headers_type(message)
        except ValueError:
            self.basic_error(500, b"Server Error", "Server Error")
            raise
        if self.server.phase.draining and message.get("type") == "http.response.start":
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"connection", [b"close"])
        self.handle_reply(message)
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def setResponseCode(self, code: int, message: bytes | None = None) -> None:
        """Note the status; Twisted knows no phrase for 429, 451 and others, and would send "Unknown Status"."""
        super().setResponseCode(code, message or handshake.phrase(code))

    def finish(self) -> None:
        """End the response."""
        if self.producer is not None:
            self.unregisterProducer()
        super().finish()

    def pauseProducing(self) -> None:
        """The transport holds more than it wants to: ``send`` waits from now on."""
        if self._drained is None:
            self._drained = self.server.loop.create_future()

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def stopProducing(self) -> None:
        """The transport is gone: nobody waits for it."""
        self.resumeProducing()

    def handle_exception(self, exception: BaseException) -> None:
        """The application failed: 500, or a cut response if it has begun, so that nobody takes it for a whole one."""
        if self.finished or self.channel is None:
            return
        if self._response_started:
            self.cut()
        else:
            super().handle_exception(exception)

    def application_returned(self) -> None:
        """The application is over without a whole response."""
        if not self.finished:
            self.handle_exception(RuntimeError("no response"))

    def cut(self) -> None:
        """Drop the connection at once."""
        if self.channel is not None:
            self.channel.transport.abortConnection()

    def duration(self) -> float:
        """Return the seconds since the request was whole."""
        return self.server.loop.time() - self.request_start

    def _http_version(self) -> str:
        return str(self.clientproto.split(b"/")[-1].decode("ascii"))

    def gone(self) -> None:
        """The response is complete or the client has left; called once, by the server."""
        self.resumeProducing()
        if self._timer is not None:
            self._timer.cancel()
        if self._counted:
            recorder.connections.add(-1, "http")
        if self.run is not None:
            self.run.left()


def _address(address: Any) -> list[Any] | None:
    if hasattr(address, "host") and hasattr(address, "port"):
        return [str(address.host), address.port]
    return None


class GatewayHTTPFactory(HTTPFactory):
    """Makes the channels, and knows those that live, so that a drain can end the idle ones."""

    def __init__(self, server: GatewayServer) -> None:
        super().__init__(server)
        self._channels: WeakSet[Any] = WeakSet()

    def buildProtocol(self, addr: Any) -> Any:
        """Make a channel for a new connection."""
        wrapper = http.HTTPFactory.buildProtocol(self, addr)
        wrapper.requestFactory = GatewayRequest
        self._channels.add(wrapper._channel)
        return wrapper

    def forget(self, channel: Any) -> None:
        """Leave a channel alone that has become a WebSocket."""
        self._channels.discard(channel)

    def has_fresh_channels(self) -> bool:
        """Say whether a connection is open on which no request has been made yet."""
        return any(
            channel.transport is not None and not channel.requests and not getattr(channel, "has_served", False)
            for channel in self._channels
        )

    def end_idle_channels(self) -> None:
        """Close kept-alive connections that have no request; those that have one close after it."""
        for channel in list(self._channels):
            if channel.transport is not None and not channel.requests:
                channel.loseConnection()
