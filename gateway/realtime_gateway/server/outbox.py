"""The way to one socket past the application's ``send``: what its scope holds as ``realtime_gateway.outbox``.

It takes whole frames, and only while nothing else is on its way to the client; else it refuses, and whoever asked goes
the ordinary way. TLS always refuses: Twisted's wrapper hands out the plain socket beneath it, which would send what was
to be encrypted as it is.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from twisted.internet import unix

from realtime_gateway.server.connection import Send, State
from realtime_gateway.server.frames import BINARY, TEXT, encode_frame
from realtime_gateway.server.prompt_transport import PromptTransport

if TYPE_CHECKING:
    from realtime_gateway.server.websocket import GatewayWebSocket

SCOPE_KEY = "realtime_gateway.outbox"
AS_THEY_ARE = "as they are"
_PLAIN_TRANSPORTS = (PromptTransport, unix.Server)
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.EINTR)


class Outbox:
    """One WebSocket's."""

    __slots__ = ("_websocket",)

    def __init__(self, websocket: GatewayWebSocket) -> None:
        self._websocket = websocket

    @property
    def encoding(self) -> str | int:
        """Outboxes with equal encodings take the same bytes: as they are, or compressed with one size of window.

        A compressor that takes over what it has sent to this client before makes bytes for nobody else, so its clients
        get what they may get as well (RFC 7692 section 6): messages that are not compressed.
        """
        deflate = self._websocket._perMessageCompress
        if deflate is None or not deflate.server_no_context_takeover:
            return AS_THEY_ARE
        bits: int = deflate.server_max_window_bits
        return bits

    @property
    def client_left(self) -> bool:
        """Whether the connection is over, and the application is about to hear it behind what came before."""
        return self._websocket._disconnect_told

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        """Return a message as one whole frame."""
        if self.encoding == AS_THEY_ARE:
            return encode_frame(BINARY if is_binary else TEXT, payload)
        return self._websocket._framed(Send(payload, is_binary))

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing is written, where that would not be in order or not be safe."""
        websocket = self._websocket
        if websocket.connection.state is not State.OPEN or websocket._corked or websocket.state != websocket.STATE_OPEN:
            return False
        transport = websocket.transport
        if (
            type(transport) not in _PLAIN_TRANSPORTS
            or transport.dataBuffer
            or transport._tempDataBuffer
            or transport.disconnecting
            or not transport.connected
            or transport.TLS
        ):
            return False
        try:
            sent = transport.socket.send(frames)
        except OSError as error:
            if error.errno not in _LATER:
                return True  # the connection is over; whoever reads from it meets the same error and ends it
            sent = 0
        if sent < len(frames):
            transport.write(frames[sent:])  # when the socket takes it, in Twisted's order and with its backpressure
        return True
