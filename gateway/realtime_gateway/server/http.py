"""HTTP requests ⇄ ASGI, and the moment when one becomes a WebSocket: Daphne's request class, ``process`` replaced."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from daphne.http_protocol import WebRequest
from daphne.utils import HEADER_NAME_RE, INVALID_HEADER_VALUE_BYTES, parse_x_forwarded_for
from twisted.protocols.policies import ProtocolWrapper

from realtime_gateway.server import handshake, request_target
from realtime_gateway.server.application_run import ApplicationRun
from realtime_gateway.server.client_address import Client
from realtime_gateway.server.request_body import StreamedBody
from realtime_gateway.server.request_facts import RequestFacts, host_and_port, http_scope
from realtime_gateway.server.stall_watch import StallWatch
from realtime_gateway.telemetry import recorder

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer


METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token (RFC 9110 section 5.6.2)

logger = logging.getLogger("realtime_gateway.server")


class GatewayRequest(WebRequest):
    """One HTTP request; ``http2`` has what is different about one that came by HTTP/2."""

    server: GatewayServer
    run: ApplicationRun | None = None
    path: bytes
    transport: Any
    _counted = False
    _timer: Any = None
    _drained: asyncio.Future[None] | None = None
    _stall_watch: StallWatch | None = None
    _body: StreamedBody | None = None  # None where it is refused at once
    _body_bytes = 0
    _refused = False

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._parsePOSTFormSubmission = False  # Twisted would read the whole body of a form into memory
        self._await_head()

    def _await_head(self) -> None:
        self.channel.await_head()

    # Its body.

    @property
    def body_is_whole(self) -> bool:
        """Whether the client has sent all of it."""
        return self._body is None or self._body.whole

    def gotLength(self, length: int | None) -> None:
        """The head is whole; begin at once, so that the application takes the body as it comes.

        Args:
            length: of the body, in bytes; None where it comes in chunks.
        """
        limit = self.server.options.max_body_bytes
        if limit and length is not None and length > limit:
            self._refuse_body(limit)
        elif length != 0 and handshake.wants_websocket(self.requestHeaders.getRawHeaders(b"upgrade")):
            self.refuse(400, "A WebSocket handshake has no body.", "websocket handshake")
        else:
            high_bytes = self.server.options.inbox_high_bytes
            self._body = StreamedBody(self.server.loop, high_bytes, self.channel.pause_body, self.channel.resume_body)
            if length == 0:
                self._body.end()
            else:
                self._begin_http1(self.channel._command, self.channel._path, self.channel._version)

    def _refuse_body(self, limit: int) -> None:
        self.refuse(413, f"The body of a request may have {limit} bytes.", "http.maxBodySize")

    def refuse(self, status: int, text: str, limit: str) -> None:
        """Answer in place of the application, or cut its response if that has begun; ends the connection."""
        if self._refused:
            return
        self._refused = True
        if self.run is None:
            self.server.protocol_disconnected(self)
        if self._response_started:
            self.channel.met(limit, "cut")
            self.cut()
        else:
            self.channel.requests.remove(self)
            self.channel.refuse(status, text, limit)
            if self.run is not None:
                self.connectionLost(None)

    def handleContentChunk(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._body is None or self._refused or self.finished:
            return
        self._body_bytes += len(data)
        limit = self.server.options.max_body_bytes
        if 0 < limit < self._body_bytes:
            self._refuse_body(limit)
        else:
            self._body.feed(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is whole."""
        if self._refused or self._body is None:
            return
        if self._body.whole:
            self._begin_http1(command, path, version)
        else:
            self.channel._savedTimeOut = self.channel.timeOut
            self._body.end()

    def _begin_http1(self, command: bytes, target: bytes, version: bytes) -> None:
        host, path = request_target.origin_form(target)
        if host is not None and len(self._hosts()) == 1:
            self.requestHeaders.setRawHeaders(b"host", [host])  # RFC 9112 section 3.2.2
        self._begin(command, path, version)

    def _begin(self, command: bytes, path: bytes, version: bytes) -> None:
        self.method, self.uri, self.clientproto = command, path, version
        self.path = path.partition(b"?")[0]
        self.process()

    # From the request to its application.

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
        is_handshake = handshake.wants_websocket(self.requestHeaders.getRawHeaders(b"upgrade"))
        if problem := self._problem():
            if is_handshake:
                recorder.handshakes.add(1, "malformed")
            self._refuse_malformed(problem)
            return
        self.query_string = self.uri.partition(b"?")[2]
        self.facts = self._facts()
        self.client_addr = self.facts.client
        if is_handshake:
            self._process_upgrade()
        else:
            self._process_http()

    def _problem(self) -> str:
        if not METHOD.fullmatch(self.method):
            return "Invalid method"
        if problem := request_target.problem(self.method, self.uri):
            return problem
        for name, values in self.requestHeaders.getAllRawHeaders():
            if not HEADER_NAME_RE.fullmatch(name):
                return "Invalid header name"
            if any(INVALID_HEADER_VALUE_BYTES.intersection(value) for value in values):
                return "Invalid header value"
        return self._host_problem()

    def _host_problem(self) -> str:
        allowed = (1,) if self.clientproto == b"HTTP/1.1" else (0, 1)  # RFC 9112 section 3.2
        return "" if len(self._hosts()) in allowed else "The request needs one Host header"

    def _hosts(self) -> list[bytes]:
        hosts: list[bytes] = self.requestHeaders.getRawHeaders(b"host", [])
        return hosts

    def _refuse_malformed(self, text: str) -> None:
        self.channel.refuse_malformed(f"{text}.")

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
        client, scheme = self._client()
        here = host_and_port(self.host)
        return RequestFacts(self.path, self.query_string, headers, root_path, scheme, client, here)

    def _client(self) -> tuple[list[Any] | None, str]:
        """Return who the client is and what it speaks, through the proxies that are trusted."""
        server, headers = self.server, self.requestHeaders
        scheme = "https" if self.isSecure() else "http"
        host, port = host_and_port(self.client) or (None, 0)
        peer = getattr(self.channel, "client", None) or Client(host, port, scheme)  # HTTP/2 has channels of its own
        if server.trusted_proxies:
            forwarded_for, forwarded_proto = (
                [value.decode("latin1") for value in headers.getRawHeaders(name, ())]
                for name in (b"x-forwarded-for", b"x-forwarded-proto")
            )
            peer = server.trusted_proxies.client(peer, forwarded_for, forwarded_proto)
        client = None if peer.host is None else [peer.host, peer.port]
        if not server.proxy_forwarded_address_header or server.trusted_proxies:
            return client, peer.scheme
        believed: tuple[list[Any] | None, str] = parse_x_forwarded_for(
            headers,
            server.proxy_forwarded_address_header,
            server.proxy_forwarded_port_header,
            server.proxy_forwarded_proto_header,
            client,
            peer.scheme,
        )
        return believed

    # A WebSocket.

    def _process_upgrade(self) -> None:
        verdict = handshake.examine(self.method, self._http_version(), self.facts.headers)
        if isinstance(verdict, handshake.Refusal):
            recorder.handshakes.add(1, "malformed")
            self._answer(verdict.status, verdict.reason, list(verdict.headers))
        elif refused := self.server.no_room(self.facts):
            recorder.handshakes.add(1, refused.ending.label)
            retry_after = (b"retry-after", b"%d" % refused.retry_after_seconds)
            self._answer(refused.ending.status, refused.ending.reason, [retry_after])
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
        channel.forget_rest()
        channel.requests.clear()
        protocol.makeConnection(transport)
        protocol.begin(self.facts.of_websocket(), upgrade)

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
        self.registerProducer(self, True)
        assert self._body is not None, "one that is refused at once comes to no application"
        self.application_queue = self._body
        scope = http_scope(facts, self.method.decode("ascii"), self._http_version(), server.scope_state())
        self.run = server.start_application(self, scope, self._body.get, self.application_sent)
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
            self._stall_watch = self._watch()

    def _watch(self) -> StallWatch | None:
        watch: StallWatch | None = self.channel.watch(self._stalled)
        return watch

    def _stalled(self) -> None:
        if self.channel is not None:
            self.channel.met("http.sendTimeoutSeconds", "cut")
        self.cut()

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        if self._stall_watch is not None:
            self._stall_watch.cancel()
            self._stall_watch = None
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
