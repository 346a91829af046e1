"""The way to one socket past the application's ``send``: what its scope holds as ``realtime_gateway.outbox``.

It takes whole frames, and only while nothing else is on its way to the client; else it refuses, and whoever asked goes
the ordinary way. TLS always refuses: Twisted's wrapper hands out the plain socket beneath it, which would send what was
to be encrypted as it is.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING

from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet import unix

from realtime_gateway.server.connection import State
from realtime_gateway.server.frames import BINARY, TEXT, encode_frame
from realtime_gateway.server.prompt_transport import PromptTransport

if TYPE_CHECKING:
    from realtime_gateway.server.deflate import Deflate
    from realtime_gateway.server.websocket import GatewayWebSocket

SCOPE_KEY = "realtime_gateway.outbox"
AS_THEY_ARE = "as they are"
_PLAIN_TRANSPORTS = (PromptTransport, unix.Server)
_LATER = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)


class Outbox:
    """One WebSocket's.

    Attributes:
        encoding: outboxes with equal encodings take the same bytes: as they are, or compressed with one size of window.
            A compressor that takes over what it has sent to this client before makes bytes for nobody else, so its
            clients get what they may get as well (RFC 7692 section 6): messages that are not compressed. None before
            the WebSocket is open.
    """

    __slots__ = ("_websocket", "encoding")

    def __init__(self, websocket: GatewayWebSocket) -> None:
        self._websocket = websocket
        self.encoding: str | int | None = None

    def opened(self, deflate: Deflate | None) -> None:
        """The WebSocket is open, with or without compression."""
        shared = deflate is not None and deflate.server_no_context_takeover
        self.encoding = deflate.server_max_window_bits if shared and deflate is not None else AS_THEY_ARE

    @property
    def client_left(self) -> bool:
        """Whether the connection is over, and the application is about to hear it behind what came before."""
        return self._websocket._disconnect_told

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        """Return a message as one whole frame."""
        if self.encoding in (None, AS_THEY_ARE):
            return encode_frame(BINARY if is_binary else TEXT, payload)
        return self._websocket._compressed(payload, is_binary)

    def write(self, frames: bytes) -> bool:
        """Write whole frames now; False, and nothing is written, where that would not be in order or not be safe."""
        return not self.write_all((self,), frames)

    @staticmethod
    def write_all(outboxes: Sequence[Outbox], frames: bytes) -> list[int]:
        """Write the same whole frames to each; return the places of those where nothing was written, as ``write``.

        One plain loop for a whole room, since nothing costs more per delivery than this but the system call itself:
        with a call for each member it was 2 us more.
        """
        refused: list[int] = []
        size, is_open, opened = len(frames), State.OPEN, WebSocketProtocol.STATE_OPEN
        for place, outbox in enumerate(outboxes):
            websocket = outbox._websocket
            transport = websocket.transport
            if (
                websocket._corked
                or websocket.state != opened
                or websocket.connection.state is not is_open
                or type(transport) not in _PLAIN_TRANSPORTS
                or transport.dataBuffer
                or transport._tempDataBuffer
                or transport.disconnecting
                or not transport.connected
                or transport.TLS
            ):
                refused.append(place)
                continue
            try:
                sent = transport.socket.send(frames)
            except OSError as error:
                if error.errno not in _LATER:
                    continue  # the connection is over; whoever reads from it meets the same error and ends it
                sent = 0
            if sent < size:
                transport.write(frames[sent:])  # when the socket takes it, in Twisted's order and with its backpressure
        return refused
