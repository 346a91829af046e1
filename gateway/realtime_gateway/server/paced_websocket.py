"""A WebSocket that goes at the pace of whoever is slower: its client, or the application.

client faster than its consumer   reading stops: TCP slows the client down
client slower than its consumer   ``await send()`` waits; pongs are left out; after a while, 1013
client that takes nothing at all  is cut when the time for a closing handshake is over, whoever began it; or when
                                  it takes nothing of why it is denied for as long as it may of a response
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime_gateway import endings
from realtime_gateway.server.application_run import InputQueue
from realtime_gateway.server.frames import PONG, encode_frame
from realtime_gateway.server.lean_protocol import LeanWebSocket
from realtime_gateway.server.prompt_transport import waiting_bytes
from realtime_gateway.server.stall_watch import StallWatch
from realtime_gateway.server.wheel import Turn

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer

# Frames of one turn of the loop are joined up to this size.
CORK_BYTES = 64 * 1024


class PacedWebSocket(LeanWebSocket):
    """Everything about a connection's pace, in both directions."""

    kept_attributes = (*LeanWebSocket.kept_attributes, "reading_paused", "_corked", "_corked_bytes")

    server: GatewayServer
    application_queue: InputQueue
    _drained: asyncio.Future[None] | None = None
    _lagging: Turn | StallWatch | None = None
    _written_bytes = _taken_bytes = 0  # since the client began to lag: for it, and by it at the last look
    _cutting: Turn | None = None
    _unanswered_ping: bytes | None = None
    _corked: list[bytes] | None = None
    _corked_bytes = 0

    def end(self, ending: endings.Ending, retry_after_seconds: int = 1) -> None:
        """Close or refuse this connection because the server wants to; a subclass does it."""
        raise NotImplementedError

    # From the client.

    def pause_reading(self) -> None:
        """Take nothing more from the client: its consumer has enough."""
        self.reading_paused = True
        if self.transport is not None:
            self.transport.pauseProducing()

    def _let_others_have_a_turn(self) -> None:
        self.pause_reading()
        self.server.loop.call_soon(self.resume_reading)

    def resume_reading(self) -> None:
        """Go on with what is there, and with what comes, unless something else still wants a pause."""
        if self.transport is None or self.application_queue.paused or self.state == self.STATE_CLOSED:
            return
        self.reading_paused = False
        if self.data and self.state != self.STATE_CONNECTING:
            self.consumeData()
        if not self.reading_paused:
            self.transport.resumeProducing()

    def onPing(self, payload: bytes) -> None:
        """Answer a ping; while the client takes nothing, the last one is enough (RFC 6455 section 5.5.3)."""
        if self.state != self.STATE_OPEN:
            return
        if self._drained is None:
            self._put(encode_frame(PONG, payload))
        else:
            self._unanswered_ping = payload

    # To the client.

    def _put(self, frame: bytes) -> None:
        # The first frame of a turn of the loop leaves at its end, together with those that follow it by then: an
        # application that sends several is common, and each send(2) costs more than all the rest of its frame's way.
        if not self._corked:
            self._corked = [frame]
            self._corked_bytes = len(frame)
            self.server.loop.call_soon(self._uncork)
        else:
            self._corked.append(frame)
            self._corked_bytes += len(frame)
        if self._corked_bytes > CORK_BYTES:
            self._uncork()

    def _uncork(self) -> None:
        """Write the frames that have come together."""
        if self._corked:
            frames, self._corked = self._corked, None
            if self.state == self.STATE_OPEN:
                data = frames[0] if len(frames) == 1 else b"".join(frames)
                if self._drained is not None:
                    self._written_bytes += len(data)
                self.transport.write(data)

    def pauseProducing(self) -> None:
        """The transport holds more than it wants to: ``send`` waits from now on."""
        if self._drained is None:
            self._drained = self.server.loop.create_future()
            self._written_bytes, self._taken_bytes = waiting_bytes(self.transport), 0
            self._watch_queue()

    def open(self) -> None:
        """Begin to exchange frames, with a client that may not have taken all of a response before."""
        super().open()
        self._watch_queue()

    def _watch_queue(self) -> None:
        if self._drained is not None and self._lagging is None and self.state == self.STATE_OPEN:
            seconds = self.server.options.send_queue_seconds
            self._lagging = self.server.wheel.call_later(seconds, self._still_lagging)

    def _write_denial(self, data: bytes) -> None:
        """Write a piece of an HTTP response in place of the handshake."""
        self._written_bytes += len(data)
        self.transport.write(data)
        seconds = self.server.options.send_timeout_seconds
        if seconds and self._drained is not None and self._lagging is None:
            self._lagging = StallWatch(self.server.wheel, seconds, self._denied_bytes, self._denial_stalled)

    def _denied_bytes(self) -> int:
        return self._written_bytes - waiting_bytes(self.transport)  # moves with what the client takes

    def _denial_stalled(self) -> None:
        self.server.limit_log.met("http.sendTimeoutSeconds", self, "cut")
        self.cut()

    def _still_lagging(self) -> None:
        """The client has not caught up for as long as it may: with a little only if it takes some of it."""
        self._lagging = None
        if self.state != self.STATE_OPEN:
            return
        options, waiting = self.server.options, waiting_bytes(self.transport)
        taken_before, self._taken_bytes = self._taken_bytes, self._written_bytes - waiting
        if waiting > options.send_queue_bytes:
            self.server.limit_log.met("websocket.sendQueueSize", self, "closed with 1013")
            self.end(endings.SLOW_CLIENT)
        elif self._taken_bytes <= taken_before:
            self.server.limit_log.met("websocket.sendQueueSeconds", self, "closed with 1013")
            self.end(endings.SLOW_CLIENT)
        else:
            self._lagging = self.server.wheel.call_later(options.send_queue_seconds, self._still_lagging)

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        if self._lagging is not None:
            self._lagging.cancel()
            self._lagging = None
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if self._unanswered_ping is not None:
            payload, self._unanswered_ping = self._unanswered_ping, None
            self.onPing(payload)

    def stopProducing(self) -> None:
        """The transport is gone: nobody waits for it."""
        self._unanswered_ping = None
        self.resumeProducing()
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    # The end.

    def dropConnection(self, abort: bool = False) -> None:
        """Close the transport behind what is written; autobahn does so after a client's close frame."""
        # Where we closed first, it would reset what was agreed to be over: a browser says then that it was not clean.
        super().dropConnection(abort and not self.wasClean)
        self._last_bytes_are_written()

    def _last_bytes_are_written(self) -> None:
        # TCP waits for a client that takes nothing, and TLS for its farewell, as long as it likes.
        self.resumeProducing()  # with the producer gone, nobody else would wake a send that waits
        if self._cutting is None and not getattr(self.transport, "ends_now", False):
            self._cutting = self.server.wheel.call_later(self.server.options.close_timeout_seconds, self.cut)

    def cut(self) -> None:
        """Drop the transport at once."""
        if self.transport is not None:
            self.transport.abortConnection()
