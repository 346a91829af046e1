"""Daphne's WebSocket protocol without the work per connection and per message that nobody reads.

autobahn keeps some forty values per connection, most of which never change; here they stand on the class, where the
parser and the closing handshake replace those that do. It formats debug lines whether or not anybody reads them, and
makes Deferreds that nobody waits for; the methods that do so are replaced.

Upstream methods replaced here are pinned by ``tests/unit/gateway/server/test_upstream_pins.py``: where a new version of
autobahn changes one of them, that test says so.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from realtime_gateway.server import installed_reactor  # noqa: F401  (before daphne: it decides the reactor)

# isort: split
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class _NobodyWaits:
    """Stands where autobahn keeps a Deferred per connection that nothing here waits for."""

    def callback(self, result: object) -> None:
        """Take the result and forget it."""


class LeanWebSocket(WebSocketProtocol):
    """A server-side protocol whose request has been parsed already; its subclass connects it to an application."""

    # autobahn's state that starts the same for everybody; the parser and the closing handshake set it per instance.
    is_open = is_closed = _NobodyWaits()
    peer = ""
    trafficStats = TrafficStats()
    trackedTimings = None
    send_queue = ()  # only for chopped and synchronous writes, which are never used
    triggered = False
    send_state = WebSocketProtocol.SEND_STATE_GROUND
    state: int = WebSocketProtocol.STATE_CONNECTING
    data = b""
    inside_message = False
    current_frame = None
    _perMessageCompress: Any = None
    wasMaxFramePayloadSizeExceeded = wasMaxMessagePayloadSizeExceeded = False
    closedByMe: bool = False
    failedByMe = droppedByMe = wasClean = False
    wasNotCleanReason: str | None = None
    wasServerConnectionDropTimeout = wasOpenHandshakeTimeout = wasCloseHandshakeTimeout = False
    wasServingFlashSocketPolicyFile = False
    localCloseCode: int | None = None
    localCloseReason: bytes | None = None
    remoteCloseCode = remoteCloseReason = None
    openHandshakeTimeoutCall: Any = None
    closeHandshakeTimeoutCall: Any = None
    message_data: Any = None
    autoPingTimeoutCall = autoPingPending = autoPingPendingCall = autoPingPendingSent = None
    autoPingPendingSeq = 0

    def __init__(self) -> None:
        """Replace upstream's, which makes two Deferreds and a table of listeners per connection."""

    @cached_property
    def utf8validator(self) -> Any:
        """Made for the first text message."""
        return Utf8Validator()

    def connectionMade(self) -> None:
        """Take over a transport; called by ``makeConnection``. Upstream formats all settings for a debug line."""
        self.factory.countConnections += 1

    def dataReceived(self, data: bytes) -> None:
        """Parse what the client sent."""
        self._dataReceived(data)

    def connectionLost(self, reason: Any = None) -> None:
        """The transport is gone; upstream only adds debug lines here."""
        self._connectionLost(reason)

    def _onOpen(self) -> None:
        self.onOpen()

    def onMessageEnd(self) -> None:
        """Hand a whole message on; upstream also fires an event, with two Deferreds per message."""
        if not self.failedByMe:
            self.onMessage(b"".join(self.message_data), self.message_is_binary)
        self.message_data = None

    def check_timeouts(self) -> None:
        """Nothing: upstream scans every connection every two seconds; timers do it here."""


def lean_factory(server: Any, protocol: type[LeanWebSocket]) -> WebSocketFactory:
    """Build the factory whose protocol class carries the server's settings, once for all connections."""
    factory = WebSocketFactory(server, server=server.server_name)
    factory.setProtocolOptions(
        allowNullOrigin=True,
        failByDrop=False,  # an oversize message ends in 1009, not in a dropped connection
        maxMessagePayloadSize=server.websocket_max_message_size,
        maxFramePayloadSize=server.websocket_max_frame_size,
        autoPingInterval=max(server.ping_interval, 0),
        autoPingTimeout=max(server.ping_timeout, 0),
        closeHandshakeTimeout=server.options.close_timeout_seconds,
    )
    settings = {name: getattr(factory, name) for name in protocol.CONFIG_ATTRS}
    # A plain function on a class would become a method.
    settings["perMessageCompressionAccept"] = staticmethod(settings["perMessageCompressionAccept"])
    factory.protocol = type(protocol.__name__, (protocol,), settings)
    return factory
