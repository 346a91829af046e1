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

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.protocol import WebSocketProtocol as AutobahnProtocol
from autobahn.websocket.utf8validator import Utf8Validator
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from realtime_gateway.server.whole_frames import PONG_HEAD_BYTES, is_pong, whole_close, whole_message

# What one client may have parsed in one turn of the loop before others have theirs: some three milliseconds. One read
# holds ten thousand of the smallest frames, and a client that sends nothing else kept its neighbours waiting for a
# second each time.
_TURN_COST = 256
_ORDINARY_COST, _OTHER_COST = 1, 4  # whole messages, and what autobahn's own parser takes, in which this is measured

# One for everybody: whose answer it is, the socket says. As long as autobahn's, which some clients may be used to.
PING_PAYLOAD = b"are you here"
PONG_BYTES = PONG_HEAD_BYTES + len(PING_PAYLOAD)


class _NobodyWaits:
    """Stands where autobahn keeps a Deferred per connection that nothing here waits for."""

    def callback(self, result: object) -> None:
        """Take the result and forget it."""


class LeanWebSocket(WebSocketProtocol):
    """A server-side protocol whose request has been parsed already; its subclass connects it to an application."""

    # What an idle connection has of its own; the rest comes and goes, or stays as the class has it.
    kept_attributes: tuple[str, ...] = ("factory", "connected", "transport", "state", "data", "awaits_pong")

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
    current_frame: Any = None
    _perMessageCompress: Any = None
    wasMaxFramePayloadSizeExceeded = wasMaxMessagePayloadSizeExceeded = False
    closedByMe: bool = False
    failedByMe = droppedByMe = wasClean = False
    wasNotCleanReason: str | None = None
    wasServerConnectionDropTimeout = wasOpenHandshakeTimeout = wasCloseHandshakeTimeout = False
    wasServingFlashSocketPolicyFile = False
    localCloseCode: int | None = None
    localCloseReason: bytes | None = None
    remoteCloseCode: int | None = None
    remoteCloseReason: str | None = None
    openHandshakeTimeoutCall: Any = None
    closeHandshakeTimeoutCall: Any = None
    message_data: Any = None
    autoPingTimeoutCall = autoPingPending = autoPingPendingCall = None  # pinging_websocket has its own
    websocket_version = 13  # of those that handshake.VERSIONS names: their frames are the same
    reading_paused = False
    awaits_pong = False  # nothing has come since the last ping that says that the client lives
    _whole_message_limit_bytes = 0  # the lower one of upstream's two; set once for all connections

    def __init__(self) -> None:
        """Replace upstream's, which makes two Deferreds and a table of listeners per connection."""

    # Upstream's mean the same, in Python: each place in a table of connections, and each ping on the wheel, asks.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    @cached_property
    def utf8validator(self) -> Any:
        """Made for the first text message."""
        return Utf8Validator()

    def connectionMade(self) -> None:
        """Take over a transport; called by ``makeConnection``. Upstream formats all settings for a debug line."""
        self.factory.countConnections += 1

    def dataReceived(self, data: bytes) -> None:
        """Parse what the client sent; after a mistake of the client nothing more (RFC 6455 section 7.1.7)."""
        if not self.failedByMe:
            self.data = self.data + data if self.data else data
            self.consumeData()

    def consumeData(self) -> None:
        """Parse what is there, up to where reading is paused: what one read holds may be thousands of messages."""
        if self.state == self.STATE_CONNECTING:
            self.processHandshake()
            return
        going, left = True, _TURN_COST
        while going and not self.reading_paused and not self.failedByMe and self.state != self.STATE_CLOSED:
            if self.state == self.STATE_OPEN and self.current_frame is None and not self.inside_message:
                left -= self._take_whole_messages(left)
                going = not self.reading_paused and not self.failedByMe and bool(self.data)
            if going and left <= 0:
                self._let_others_have_a_turn()
                return
            going = going and self.processData()
            left -= _OTHER_COST
        if self.failedByMe or self.state == self.STATE_CLOSED:
            self.data = b""

    def _let_others_have_a_turn(self) -> None:
        """Stop reading, and go on with what is there in the next turn of the loop; a subclass does it."""
        raise NotImplementedError

    def _take_whole_messages(self, most: int) -> int:
        """Hand on up to so many ordinary messages; return what it cost."""
        data, start = self.data, 0
        limit_bytes, cost = self._whole_message_limit_bytes, 0
        try:
            while not self.reading_paused and self.state == self.STATE_OPEN and cost < most:
                found = whole_message(data, start, limit_bytes)
                if found is None:
                    if is_pong(data, start, PING_PAYLOAD):
                        start += PONG_BYTES
                        cost += _ORDINARY_COST
                        self.awaits_pong = False
                        continue
                    close = whole_close(data, start)
                    if close is not None:
                        start = len(data)  # nothing counts that follows it
                        self.onCloseFrame(*close)
                    break
                is_binary, payload, start = found
                cost += _ORDINARY_COST
                self.awaits_pong = False  # the client lives
                self.onMessage(payload, is_binary)
        except UnicodeDecodeError:
            self._invalid_payload("a text message is no UTF-8")
        finally:
            self.data = data[start:] if start else data
        return cost

    def frame_in_progress(self) -> tuple[int, int] | None:
        """Return how much of an incomplete frame has arrived, as a mark that moves; None between two frames."""
        if self.current_frame is None:
            return (0, len(self.data)) if self.data else None
        return self.current_frame_masker.pointer(), len(self.data)

    def _protocol_violation(self, reason: str) -> bool:
        """The client has broken the protocol: read no further, whatever upstream would make of the rest."""
        super()._protocol_violation(reason)
        return True

    def _invalid_payload(self, reason: str) -> bool:
        """The client has sent what is no text: read no further."""
        super()._invalid_payload(reason)
        return True

    def _fail_connection(self, code: int, reason: str) -> None:
        """Say why, say no more, and drop what comes until the client has closed or its time is over."""
        super()._fail_connection(code, reason)
        self._say_no_more()

    def _say_no_more(self) -> None:
        if self.state == self.STATE_CLOSING:
            if hasattr(self.transport, "loseWriteConnection"):
                self.transport.loseWriteConnection()
            else:
                self.transport.loseConnection()

    # The pieces of a fragmented message in one buffer: in a list each would cost more than it holds, and empty ones,
    # which no limit counts, would cost memory without end.

    def onMessageBegin(self, isBinary: bool) -> None:
        """Begin a message."""
        self.message_is_binary = isBinary
        self.message_data = bytearray()
        self.message_data_total_length = 0

    def onMessageFrameData(self, payload: bytes) -> None:
        """Take a piece."""
        if not self.failedByMe:
            self.message_data += payload

    def onMessageFrameEnd(self) -> None:
        """The piece has been taken, and the client lives."""
        self.awaits_pong = False

    def onPong(self, payload: bytes) -> None:
        """An answer that is ours to expect, or not (RFC 6455 section 5.5.3)."""
        if payload == PING_PAYLOAD:
            self.awaits_pong = False

    def connectionLost(self, reason: Any = None) -> None:
        """The transport is gone; upstream only adds debug lines here."""
        self._connectionLost(reason)

    def _connectionLost(self, reason: Any) -> None:
        """Forget all timers and say that it is over; upstream's server formats its reason in colours before."""
        AutobahnProtocol._connectionLost(self, reason)
        self.factory.countConnections -= 1

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:
        """Write a frame of control; upstream formats what it did, and can send in pieces, which is never used."""
        self.transport.write(data)

    def open(self) -> None:
        """Begin to exchange frames; upstream builds the handshake's response too, in UTF-8, and keeps it."""
        self.state = self.STATE_OPEN
        if self.openHandshakeTimeoutCall is not None:
            self.openHandshakeTimeoutCall.cancel()
            self.openHandshakeTimeoutCall = None
        self.onOpen()
        if self.data:
            self.consumeData()

    def onMessageEnd(self) -> None:
        """Hand a whole message on; upstream also fires an event, with two Deferreds per message."""
        if not self.failedByMe:
            self.onMessage(bytes(self.message_data), self.message_is_binary)
        self.message_data = None

    def check_timeouts(self) -> None:
        """Nothing: upstream scans every connection every two seconds; timers do it here."""


class _LeanFactory(WebSocketFactory):
    """Daphne's, which goes through three methods and a check for each connection."""

    def buildProtocol(self, addr: Any) -> Any:
        """Make a protocol."""
        protocol = self.protocol()
        protocol.factory = self
        return protocol


def lean_factory(server: Any, protocol: type[LeanWebSocket]) -> WebSocketFactory:
    """Build the factory whose protocol class carries the server's settings, once for all connections."""
    factory = _LeanFactory(server, server=server.server_name)
    factory.setProtocolOptions(
        allowNullOrigin=True,
        failByDrop=False,  # an oversize message ends in 1009, not in a dropped connection
        maxMessagePayloadSize=server.websocket_max_message_size,
        maxFramePayloadSize=server.websocket_max_frame_size,
        autoPingInterval=max(server.ping_interval, 0),
        autoPingTimeout=max(server.ping_timeout, 0),
        closeHandshakeTimeout=server.options.close_timeout_seconds,
    )
    factory._batched_timer = server.wheel
    settings = {name: getattr(factory, name) for name in protocol.CONFIG_ATTRS}
    # A plain function on a class would become a method.
    settings["perMessageCompressionAccept"] = staticmethod(settings["perMessageCompressionAccept"])
    limits = [limit for limit in (server.websocket_max_message_size, server.websocket_max_frame_size) if limit]
    settings["_whole_message_limit_bytes"] = min(limits, default=0)
    factory.protocol = type(protocol.__name__, (protocol,), settings)
    _share_names(factory.protocol)
    return factory


def _share_names(protocol: type[LeanWebSocket]) -> None:
    """Have the attributes that an idle connection has in the table of names that all instances share.

    CPython closes that table when some thirty instances have been made, and an attribute that comes later costs each
    connection a dict of its own, 580 bytes more. Where many clients connect at once, that is before the first is open.
    """
    model = protocol.__new__(protocol)
    for name in protocol.kept_attributes:
        setattr(model, name, None)
