"""What a connection begins with: a WebSocket at once where its request is whole and ordinary, else an HTTP channel.

    accepted ──▶ FirstRead ──▶ an ordinary upgrade ──────────────▶ GatewayWebSocket
                     └───────▶ anything else, or nothing in time ─▶ GatewayChannel, with the same bytes

Twisted's channel and request cost a WebSocket more than all else that the server does for its handshake. They are made
only for who needs them, and then know when the connection began: each limit, answer and line of the log is theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper

from realtime_gateway.server import upgrade_request
from realtime_gateway.server.client_address import Client
from realtime_gateway.server.prompt_transport import PromptTransport
from realtime_gateway.server.request_facts import RequestFacts, host_and_port
from realtime_gateway.server.wheel import Turn

if TYPE_CHECKING:
    from realtime_gateway.server.channel import GatewayHTTPFactory
    from realtime_gateway.server.upgrade_request import UpgradeRequest


class FirstRead(Protocol):
    """One connection, until its first bytes have come.

    Args:
        factory: of channels.
    """

    factory: GatewayHTTPFactory
    transport: Any
    _deadline: Turn | None = None
    _began: float | None = None  # None: it has been heard of as soon as it was accepted

    def __init__(self, factory: GatewayHTTPFactory) -> None:
        self.factory = factory

    def connectionMade(self) -> None:
        """Begin to wait."""
        if not isinstance(self.transport, PromptTransport) and ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)  # ours has it from the socket that it was accepted on
        self.factory.unheard.add(self)
        self._began = self.factory.server.loop.time()
        seconds = self.factory.first_read_seconds
        if seconds:
            self._deadline = self.factory.server.wheel.call_later(seconds, self._is_late)

    def connectionLost(self, reason: Any = None) -> None:
        """The client has left without a word."""
        self._stop_waiting()

    def dataReceived(self, data: bytes) -> None:
        """Take what the client begins with."""
        is_other = not isinstance(self.transport, PromptTransport) and self._speaks_http2()
        request = None if is_other else upgrade_request.read(data, self.factory.quick_head_bytes)
        if request is None or not self._become_websocket(request, data):
            self.become_channel().dataReceived(data)

    def _speaks_http2(self) -> bool:
        return getattr(self.transport, "negotiatedProtocol", None) == b"h2"

    def _become_websocket(self, request: UpgradeRequest, data: bytes) -> bool:
        server, transport = self.factory.server, self.transport
        facts = self._facts(request)
        if not server.admits(facts):
            return False
        self._stop_waiting()
        protocol = server.ws_factory.buildProtocol(None)
        _hand_over(transport, protocol)
        protocol.makeConnection(transport)
        protocol.begin(facts, request.upgrade)
        if len(data) > request.size_bytes:
            protocol.dataReceived(data[request.size_bytes :])
        return True

    def _facts(self, request: UpgradeRequest) -> RequestFacts:
        server, transport = self.factory.server, self.transport
        client: list[Any] | None
        here: list[Any] | None
        if isinstance(transport, PromptTransport):  # without the objects of Twisted's two methods
            client, here, scheme = list(transport.client[:2]), list(transport.socket.getsockname()[:2]), "http"
        else:
            client, here = host_and_port(transport.getPeer()), host_and_port(transport.getHost())
            scheme = "https" if ISSLTransport.providedBy(transport) else "http"
        if server.trusted_proxies:
            host, port = client or (None, 0)
            peer = server.trusted_proxies.client(
                Client(host, port, scheme),
                [value.decode("latin1") for name, value in request.headers if name == b"x-forwarded-for"],
                [value.decode("latin1") for name, value in request.headers if name == b"x-forwarded-proto"],
            )
            client, scheme = None if peer.host is None else [peer.host, peer.port], peer.scheme
        return RequestFacts(request.path, request.query_string, request.headers, server.root_path, scheme, client, here)

    def become_channel(self) -> Any:
        """Leave the connection to an HTTP channel, and return that."""
        self._stop_waiting()
        protocol = self.factory.build_channel(self._began)
        _hand_over(self.transport, protocol)
        protocol.makeConnection(self.transport)
        return protocol

    def _is_late(self) -> None:
        self.become_channel().nothing_came()

    def _stop_waiting(self) -> None:
        self.factory.unheard.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _hand_over(transport: Any, protocol: Any) -> None:
    if isinstance(transport, ProtocolWrapper):  # TLS
        transport.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
