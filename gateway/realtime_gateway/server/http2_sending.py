"""How responses leave by HTTP/2: Twisted's loop of one frame after another, at a cost that their pieces do not raise.

Twisted adds up all that waits of a response at each write and at each frame, makes a frame of the smallest piece, and
turns its loop for nothing while a window is closed.
"""

from __future__ import annotations

from typing import Any

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from priority import DeadlockError
from twisted.internet.defer import Deferred
from twisted.web._http2 import _END_STREAM_SENTINEL, H2Connection

# `await send()` waits while this much of its response is kept back here, as with the transports of HTTP/1.1.
SEND_BYTES = 64 * 1024
FRAME_BYTES = 16_384  # a larger piece would be copied once for each frame that is cut off it


class SendingConnection(H2Connection):
    """The half of a connection that sends."""

    _sendingDeferred: Any

    def __init__(self) -> None:
        super().__init__()
        self._kept_bytes: dict[int, int] = {}  # by stream, of its response
        self._closed_windows: set[int] = set()  # by stream
        self._frames = 0  # sent, of all responses

    def writeDataToStream(self, streamID: int, data: bytes) -> None:
        """Take a piece of a response; small ones share a frame."""
        pieces = self._outboundStreamQueues[streamID]
        self._kept_bytes[streamID] = self._kept_bytes.get(streamID, 0) + len(data)
        if not (pieces and add_to_last(pieces, data)):
            pieces.extend(data[start : start + FRAME_BYTES] for start in range(0, len(data), FRAME_BYTES))
        if pieces and streamID not in self._closed_windows:
            self.priority.unblock(streamID)
            self._wake()
        if streamID in self.streams and self.remainingOutboundWindow(streamID) <= 0:
            self.streams[streamID].flowControlBlocked()

    def remainingOutboundWindow(self, streamID: int) -> int:
        """Return how much more a response may bring here, however wide its client has opened its window."""
        window = min(self.conn.local_flow_control_window(streamID), SEND_BYTES)
        return int(window) - self._kept_bytes.get(streamID, 0)

    def how_far(self, stream_id: int) -> object:
        """Return what differs when more of a response has left, or of those before it where its window is open."""
        others = 0 if stream_id in self._closed_windows else self._frames
        return self._kept_bytes.get(stream_id, 0), others

    def _wake(self) -> None:
        waiting, self._sendingDeferred = self._sendingDeferred, None
        if waiting is not None:
            waiting.callback(None)

    def _sendPrioritisedData(self, *arguments: Any) -> None:
        """Send one frame and come again, or wait until there is one that may be sent."""
        if not self._stillProducing:
            return
        if self._consumerBlocked is not None:
            self._consumerBlocked.addCallback(self._sendPrioritisedData)
            return
        try:
            stream_id = next(self.priority)
        except DeadlockError:
            self._sendingDeferred = Deferred().addCallback(self._sendPrioritisedData)
            return
        self._send_frame(stream_id)
        self._reactor.callLater(0, self._sendPrioritisedData)

    def _send_frame(self, stream_id: int) -> None:
        pieces = self._outboundStreamQueues[stream_id]
        if pieces[0] is _END_STREAM_SENTINEL:
            self.resetTimeout()
            self.conn.end_stream(stream_id)
            self.transport.write(self.conn.data_to_send())
            self._requestDone(stream_id)
            return
        room = min(self.conn.max_outbound_frame_size, self.conn.local_flow_control_window(stream_id))
        if room <= 0:
            self._stall(stream_id)
            return
        self.resetTimeout()
        piece = pieces.popleft()
        if len(piece) > room:
            pieces.appendleft(piece[room:])
            piece = piece[:room]
        self._kept_bytes[stream_id] -= len(piece)
        self._frames += 1
        self.conn.send_data(stream_id, bytes(piece))
        self.transport.write(self.conn.data_to_send())
        if self.conn.local_flow_control_window(stream_id) <= 0:
            self._stall(stream_id)
        elif not pieces:
            self.priority.block(stream_id)
        # A frame makes room for its own response only; the others know of theirs.
        if stream_id in self.streams:
            self.streams[stream_id].windowUpdated()

    def _stall(self, stream_id: int) -> None:
        self._closed_windows.add(stream_id)
        self.priority.block(stream_id)

    def _requestDone(self, stream_id: int) -> None:
        """A stream is over, in whichever way."""
        self._kept_bytes.pop(stream_id, None)
        self._closed_windows.discard(stream_id)
        super()._requestDone(stream_id)

    def _handleWindowUpdate(self, event: Any) -> None:
        """One window is larger; all of them are looked at when everything that came is handled."""

    def dataReceived(self, data: bytes) -> None:
        """Take frames; those of a window, and SETTINGS, may let responses go on."""
        super().dataReceived(data)
        opened = [each for each in self._closed_windows if self.conn.local_flow_control_window(each) > 0]
        for stream_id in opened:
            self._closed_windows.discard(stream_id)
            if self._outboundStreamQueues[stream_id]:
                self.priority.unblock(stream_id)
            self.streams[stream_id].windowUpdated()
        if opened:
            self._wake()


def add_to_last(pieces: Any, data: bytes) -> bool:
    """Join ``data`` to the last of what waits, if both fit into one frame; say whether they do."""
    last = pieces[-1]
    if last is _END_STREAM_SENTINEL or len(last) + len(data) > FRAME_BYTES:
        return False
    if isinstance(last, bytes):
        last = pieces[-1] = bytearray(last)
    last += data
    return True
