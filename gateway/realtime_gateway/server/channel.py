"""One HTTP/1.1 connection: Twisted's channel, with limits that answer, and an end that its client can read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from daphne.http_protocol import HTTPFactory
from twisted.internet import interfaces
from twisted.protocols.policies import ProtocolWrapper
from twisted.web.http import H2_ENABLED, _GenericHTTPChannelProtocol
from twisted.web.http import HTTPFactory as PlainHTTPFactory

from realtime_gateway.server import handshake, proxy_protocol
from realtime_gateway.server.client_address import Client
from realtime_gateway.server.first_read import FirstRead
from realtime_gateway.server.prompt_transport import waiting_bytes
from realtime_gateway.server.request_facts import host_and_port
from realtime_gateway.server.stall_watch import StallWatch
from realtime_gateway.server.strict_channel import MALFORMED, StrictChannel
from realtime_gateway.server.wheel import Deadline, Turn

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer
    from realtime_gateway.server.http import GatewayRequest

# How long a client that is refused may go on sending before it is cut: its answer would be lost with a reset.
LINGER_SECONDS = 2.0


class GatewayChannel(StrictChannel):
    """One connection, until it ends or becomes a WebSocket."""

    server: GatewayServer
    began: float | None = None  # on the loop's clock, where the connection is older than its channel
    has_served = False
    _has_heard = False
    client: Client
    _deadline: Turn | None = None
    _ending: StallWatch | None = None
    _rest: StallWatch | None = None  # of a whole response that has not left; nobody else waits for that
    _written_bytes = 0
    _before_proxy_header: bytes | None = None  # what has come of it; None: none may come

    def connectionMade(self) -> None:
        """Begin to wait for the first request."""
        self.server = self.factory.server
        super().connectionMade()
        self._meet_peer()
        self.await_head()

    def _meet_peer(self) -> None:
        host, port = host_and_port(self.transport.getPeer()) or (None, 0)
        self.client = Client(host, port, "https" if self.isSecure() else "http")
        if not self.isSecure() and self.server.trusted_proxies.trusts(host):
            self._before_proxy_header = b""
        else:
            self._before_proxy_header = None

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent, or a trusted load balancer before it (the PROXY protocol)."""
        if not self._has_heard:
            self._has_heard = True
            if isinstance(self.transport, ProtocolWrapper):  # Twisted's endpoint haproxy: it knows who this is by now
                self._meet_peer()
        if self._before_proxy_header is not None:
            data = self._without_proxy_header(self._before_proxy_header + data)
        if data:
            super().dataReceived(data)
            if self.line_mode and self._buffer and not self._busyReceiving:
                self.await_head()  # a part of a first line makes no request yet

    def _without_proxy_header(self, data: bytes) -> bytes:
        try:
            header = proxy_protocol.read(data)
        except proxy_protocol.Malformed as problem:
            self._before_proxy_header = None
            self.refuse(400, f"The PROXY header is malformed: {problem}.", "PROXY protocol")
            return b""
        self._before_proxy_header = data if header is None else None
        if header is None:
            return b""
        if header.host is not None:
            self.client = Client(header.host, header.port, "https" if header.secure else self.client.scheme)
        return data[header.size_bytes :]

    def await_head(self) -> None:
        """The head of a request has to be whole by a deadline from now on; that of the first, from the beginning."""
        seconds = self.server.options.head_timeout_seconds
        if seconds and self._deadline is None:
            began, self.began = self.began, None
            waited = 0 if began is None else self.server.loop.time() - began
            self._deadline = self.server.wheel.call_later(max(seconds - waited, 0), self._head_is_late)

    def nothing_came(self) -> None:
        """End it, as the first of its deadlines has passed before its first byte."""
        self.setTimeout(None)
        if self.server.options.head_timeout_seconds == self.factory.first_read_seconds:
            self._head_is_late()
        else:
            self.timeoutConnection()

    def setTimeout(self, period: float | None) -> Any:
        """Keep the deadline no longer than Twisted keeps its own: up to the end of the head, or of the connection."""
        if period is None:
            self._forget_deadline()
        return super().setTimeout(period)

    def allHeadersReceived(self) -> None:
        """The head is whole."""
        self._forget_deadline()
        super().allHeadersReceived()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _head_is_late(self) -> None:
        self._deadline = None
        if interfaces.ISSLTransport.providedBy(self.transport):  # its handshake may not have ended: nothing can be said
            self.met("http.headTimeoutSeconds", "cut")
            self.transport.abortConnection()
        else:
            self.refuse(408, "The head of a request did not arrive in time.", "http.headTimeoutSeconds")

    def lineReceived(self, line: bytes) -> None:
        """Count a line of the head; Twisted would answer too many with 400."""
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self._head_is_too_long()
        else:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """One line alone is longer than a head may be."""
        self._head_is_too_long()

    def _head_is_too_long(self) -> None:
        self._forget_deadline()
        text = f"The head of a request may have {self.totalHeadersSize} bytes."
        self.refuse(431, text, "http.maxHeadSize")

    def refuse_malformed(self, text: str) -> None:
        """Answer 400, or cut a response that has begun; ends the connection."""
        if not self.is_refusing:
            (self.requests[-1] if self.requests else self).refuse(400, text, MALFORMED)

    def met(self, limit: str, what: str) -> None:
        """Note that this client met a limit."""
        self.server.limit_log.met(limit, self.client.host or "a client", what)

    def refuse(self, status: int, text: str, limit: str) -> None:
        """Answer in place of everybody else, and end the connection."""
        if not self.is_refusing:
            self.met(limit, f"answered with {status}")
            self.transport.write(handshake.short_response(status, text, self.server.server_name))
            self.linger()

    def linger(self) -> None:
        """End the connection when the client has had time to read what was sent; what it still sends is dropped."""
        self.is_refusing = True
        for received in ("dataReceived", "lineReceived", "rawDataReceived"):
            setattr(self, received, _drop)
        self.setRawMode()
        self.setTimeout(None)
        self._networkProducer.unregisterProducer()
        if interfaces.ISSLTransport.providedBy(self.transport) or not hasattr(self.transport, "loseWriteConnection"):
            self.transport.loseConnection()  # TLS waits for the client's farewell
        else:
            self.transport.resumeProducing()
            self.transport.loseWriteConnection()
        self._deadline = self.server.wheel.call_later(LINGER_SECONDS, self.transport.abortConnection)

    # What the client takes of what is sent to it.

    def write(self, data: bytes) -> None:
        """Send a piece of a response."""
        self._written_bytes += len(data)
        super().write(data)

    def writeSequence(self, iovec: Sequence[bytes]) -> None:
        """Send pieces of a response."""
        self._written_bytes += sum(map(len, iovec))
        super().writeSequence(iovec)

    def loseConnection(self) -> None:
        """Close it behind what is written, for as long as the client takes that; TLS waits for its farewell too."""
        super().loseConnection()
        if self._ending is None:
            self._ending = self.watch(self._stalled)

    def watch(self, stalled: Callable[[], object]) -> StallWatch | None:
        """Watch whether the client takes what waits for it; None where it may take its time."""
        self.forget_rest()  # which is a part of it: one stall is met once
        return self._watch(self._taken_bytes, stalled)

    def _watch(self, mark: Callable[[], object], stalled: Callable[[], object]) -> StallWatch | None:
        seconds = self.server.options.send_timeout_seconds
        return StallWatch(self.server.wheel, seconds, mark, stalled) if seconds else None

    def _taken_bytes(self) -> int:
        # Other than what waits, this does not change by what is written meanwhile. Heads of responses are not counted:
        # it is a mark, and no number to show.
        return self._written_bytes - waiting_bytes(self.transport)

    def _watch_rest(self) -> None:
        """A whole response leaves for as long as its client takes it, though its application is done."""
        is_watched = self._ending is not None or (self._rest is not None and not self._rest.is_over)
        if not is_watched and waiting_bytes(self.transport):
            self._rest = self._watch(self._rest_mark, self._stalled)

    def _rest_mark(self) -> int | None:
        return self._taken_bytes() if waiting_bytes(self.transport) else None

    def forget_rest(self) -> None:
        """Watch no more whether the client takes a response, as when another protocol has the transport."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _stalled(self) -> None:
        self.met("http.sendTimeoutSeconds", "cut")
        self.transport.abortConnection()

    def connectionLost(self, reason: Any) -> None:
        """The connection is over."""
        self.forget_rest()
        if self._ending is not None:
            self._ending.cancel()
        super().connectionLost(reason)

    # What a drain asks.

    @property
    def is_fresh(self) -> bool:
        """Whether it is open and no request has been made on it yet."""
        return self.transport is not None and not self.requests and not self.has_served

    @property
    def is_sending(self) -> bool:
        """Whether a part of a response is kept back by more than its transport; never here."""
        return False

    def end_when_idle(self) -> None:
        """Close it if it has no request; if it has one, it closes after that."""
        if self.transport is not None and not self.requests:
            self.loseConnection()

    def requestDone(self, request: GatewayRequest) -> None:
        """A response is complete; what is left of a body that nobody waits for must not be read as a request."""
        if request.body_is_whole:
            if self.server.phase.draining:  # its head has left before, perhaps, and has not said so
                self.persistent = False
            if self.persistent:
                self._watch_rest()
            super().requestDone(request)
        else:
            self.requests.remove(request)
            self.linger()

    # Backpressure towards a client that sends a body.

    def pause_body(self) -> None:
        """Read no more; the client cannot be blamed for the time that this takes."""
        super().setTimeout(None)
        self._networkProducer.pauseProducing()

    def resume_body(self) -> None:
        """Read on."""
        if not self.is_refusing and not self._handlingRequest:
            super().setTimeout(self.timeOut)
            if not self._waitingForTransport:
                self._networkProducer.resumeProducing()


def _drop(data: bytes) -> None:
    pass


class GatewayHTTPFactory(HTTPFactory):
    """Makes the channels, and knows those that live, so that a drain can end them.

    Attributes:
        reads_at_once: whether what it makes may be given what has come before it has the connection.
        unheard: connections on which nothing has come yet.
        first_read_seconds: how long they may wait for that; 0: for ever.
        quick_head_bytes: how long a head may be that is read without a channel.
    """

    reads_at_once = True

    def __init__(self, server: GatewayServer, request_class: type[GatewayRequest]) -> None:
        super().__init__(server)
        self._request_class = request_class
        self._channels: WeakSet[Any] = WeakSet()
        self.unheard: set[FirstRead] = set()
        waits = (server.options.head_timeout_seconds, self.timeOut)
        self.first_read_seconds = min((seconds for seconds in waits if seconds), default=0)
        # Who believes proxies by Daphne's own options has their headers read by Daphne.
        by_daphne = server.proxy_forwarded_address_header and not server.trusted_proxies
        self.quick_head_bytes = 0 if by_daphne else server.options.max_head_bytes

    def protocol(self) -> Any:
        """Make what chooses between HTTP/1.1 and HTTP/2."""
        channel = GatewayChannel()
        channel.totalHeadersSize = channel.MAX_LENGTH = self.server.options.max_head_bytes
        self._channels.add(channel)
        if not H2_ENABLED:
            return _GenericHTTPChannelProtocol(channel)
        from realtime_gateway.server.http2 import NegotiatedProtocol

        return NegotiatedProtocol(channel)

    def buildProtocol(self, addr: Any) -> FirstRead:
        """Make what waits for the first bytes of a new connection."""
        return FirstRead(self)

    def build_channel(self, began: float | None) -> Any:
        """Make a channel for a connection that began then, on the loop's clock; None: now."""
        wrapper = PlainHTTPFactory.buildProtocol(self, None)
        wrapper._channel.began = began
        wrapper.requestFactory = self._request_class
        wrapper.callLater = self._call_later
        return wrapper

    def _call_later(self, seconds: float, function: Callable[[], object]) -> Deadline:
        """Stand for the reactor's, which has a timer of the event loop for each connection."""
        return Deadline(self.server.wheel, seconds, function)

    def forget(self, channel: Any) -> None:
        """Leave a channel alone that has become a WebSocket, or a connection of HTTP/2."""
        self._channels.discard(channel)

    def know(self, connection: Any) -> None:
        """Have a connection of HTTP/2 take part in a drain."""
        self._channels.add(connection)

    def has_fresh_channels(self) -> bool:
        """Say whether a connection is open on which no request has been made yet."""
        return bool(self.unheard) or any(channel.is_fresh for channel in self._channels)

    def is_sending(self) -> bool:
        """Say whether a part of a response waits for its client's leave to be sent."""
        return any(channel.is_sending for channel in self._channels)

    def end_idle_channels(self) -> None:
        """Close kept-alive connections that have no request; those that have one close after it."""
        for first in list(self.unheard):
            first.become_channel()
        for channel in list(self._channels):
            channel.end_when_idle()
