"""HTTP/2 (RFC 9113), which TLS clients choose by ALPN: Twisted's, with the limits, the pace and the end of HTTP/1.1.

Twisted alone keeps a body in a file until it is whole, whatever its size; ends a connection whose application thinks
for a minute; holds back nobody whose client has opened its window wide and reads nothing; and has no end of a
connection but a cut. A WebSocket is never among the streams: clients open one by HTTP/1.1 on the same port.

How responses leave is in ``http2_sending``.
Only imported where ``h2`` is installed, the extra ``http2``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from realtime_gateway.server import installed_reactor  # noqa: F401 - for its effect: the choice of a reactor

# isort: split
from h2.errors import ErrorCodes
from h2.exceptions import DenialOfServiceError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import GoAwayFrame
from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web._http2 import _END_STREAM_SENTINEL

from realtime_gateway.security.token_bucket import TokenBucket
from realtime_gateway.server.channel import LINGER_SECONDS
from realtime_gateway.server.http import GatewayRequest
from realtime_gateway.server.http2_sending import SendingConnection, add_to_last
from realtime_gateway.server.request_body import StreamedBody
from realtime_gateway.server.request_facts import host_and_port
from realtime_gateway.server.stall_watch import StallWatch
from realtime_gateway.server.strict_channel import MOST_NAME_BYTES
from realtime_gateway.server.wheel import Turn

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer

logger = logging.getLogger("realtime_gateway.server")

# Requests at the same time on one connection, and what each may have sent that its application has not been offered.
MOST_STREAMS = 100
STREAM_WINDOW_BYTES = 65_535  # RFC 9113 section 6.9.2, where nothing else is agreed on
# Frames that bring nothing (empty DATA, PRIORITY), which have no window: clients in order send hardly any.
IDLE_FRAMES_PER_SECOND = 100
IDLE_FRAMES_AT_ONCE = 1000


class NegotiatedProtocol(http._GenericHTTPChannelProtocol):
    """One connection, which is a channel of HTTP/1.1 until its first bytes come and ALPN has chosen."""

    _channel: Any
    _negotiatedProtocol: bytes | None

    def dataReceived(self, data: bytes) -> Any:
        """Take what the client sent."""
        if self._negotiatedProtocol is None and getattr(self._channel.transport, "negotiatedProtocol", None) == b"h2":
            self._become_http2()
        return super().dataReceived(data)

    def _become_http2(self) -> None:
        channel, self._negotiatedProtocol = self._channel, b"h2"
        producer = channel._networkProducer
        producer.unregisterProducer()
        channel.setTimeout(None)
        self._factory.forget(channel)
        connection = self._channel = Http2Connection()
        connection.factory, connection.site = self._factory, self._site
        connection.requestFactory = Http2Request
        connection.timeOut, connection.callLater = self._timeOut, self._callLater
        connection.makeConnection(channel.transport)
        producer.registerProducer(connection, True)
        self._factory.know(connection)


class Http2Connection(SendingConnection):
    """One connection and its streams; h2 knows the protocol, Twisted the flow of frames, and this when they end."""

    server: GatewayServer
    has_served = False
    _deadline: Turn | None = None
    _going_away = False
    _broken = False

    def connectionMade(self) -> None:
        """Say what we allow, and begin to wait for the first request."""
        self.server = self.factory.server
        self._ending: dict[int, StallWatch] = {}  # by stream: of whole responses that have not left
        self._idle_frames = TokenBucket(IDLE_FRAMES_PER_SECOND, IDLE_FRAMES_AT_ONCE)
        options = self.server.options
        allowed = {
            SettingCodes.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
            SettingCodes.MAX_HEADER_LIST_SIZE: options.max_head_bytes,
        }
        self.conn.local_settings = Settings(client=False, initial_values=allowed)
        self.conn.decoder.max_header_list_size = options.max_head_bytes  # h2 would wait for the client's consent
        super().connectionMade()
        # A request whose application does not take its body must not keep the others' from coming.
        self.conn.increment_flow_control_window(MOST_STREAMS * STREAM_WINDOW_BYTES)
        self._tryToWriteControlData()
        if options.head_timeout_seconds:
            self._deadline = self.server.wheel.call_later(options.head_timeout_seconds, self._first_head_is_late)

    def met(self, limit: str, what: str) -> None:
        """Note that this client met a limit."""
        host, _ = host_and_port(self.transport.getPeer()) or ("a client", None)
        self.server.limit_log.met(limit, host, what)

    def _first_head_is_late(self) -> None:
        self._deadline = None
        self.met("http.headTimeoutSeconds", "cut")
        self.transport.abortConnection()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent; a mistake here, whoever made it, ends its connection alone."""
        if self._broken:
            return
        try:
            super().dataReceived(data)
        except Exception as error:
            logger.debug("Frames could not be handled", exc_info=True)
            self._break(ErrorCodes.INTERNAL_ERROR, "HTTP/2 frames", type(error).__name__)

    def _break(self, code: ErrorCodes, limit: str, why: str = "") -> None:
        if not self._broken:
            self.met(limit, f"closed with {code.name}" + (f" ({why})" if why else ""))
            self.conn.close_connection(code)
            self._terminate(Failure(ConnectionAborted()))

    def _brings_nothing(self) -> None:
        if not self._idle_frames.take(1, self.server.loop.time()):
            self._break(ErrorCodes.ENHANCE_YOUR_CALM, "HTTP/2 frames that bring nothing")

    def _handlePriorityUpdate(self, event: Any) -> None:
        """A client's wishes for an order are deprecated (RFC 9113 section 5.3.2): streams take turns."""
        self._brings_nothing()

    def _terminate(self, reason: Failure) -> None:
        """End a connection whose client broke the protocol; h2 has said so to it."""
        if reason.check(DenialOfServiceError) is not None:
            self.met("http.maxHeadSize", "closed with ENHANCE_YOUR_CALM")
        elif reason.check(ConnectionLost) is not None:
            self.met("HTTP/2 resets", "closed with ENHANCE_YOUR_CALM")  # Twisted's own bound on rapid resets
        self._broken = True
        super()._terminate(reason)
        # TLS waits for its client's farewell. Aborting also ends what is left of Twisted's own timers.
        self._forget_deadline()
        self._deadline = self.server.wheel.call_later(LINGER_SECONDS, self.transport.abortConnection)

    def connectionLost(self, reason: Failure, _cancelTimeouts: bool = True) -> None:
        """The connection is over, and each of its requests."""
        self._forget_deadline()
        super().connectionLost(reason, _cancelTimeouts)

    # Streams. Twisted knows none that the client goes on with when its response is complete.

    def _requestReceived(self, event: Any) -> None:
        """The head of a request is whole."""
        if self._broken:
            return
        self._forget_deadline()
        self.has_served = True
        if self._going_away:  # it was on its way when we said so
            self.conn.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if any(len(name) > MOST_NAME_BYTES for name, _ in event.headers):
            self.met("HTTP/2 header names", "reset with PROTOCOL_ERROR")
            self.conn.reset_stream(event.stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        super()._requestReceived(event)
        self.streams[event.stream_id]._request.head_is_whole()

    def _requestDataReceived(self, event: Any) -> None:
        """A piece of a body."""
        stream, size = self.streams.get(event.stream_id), event.flow_controlled_length
        if not event.data and event.stream_ended is None:
            self._brings_nothing()
        if self._broken:
            return
        if stream is None or not event.data:
            self.conn.acknowledge_received_data(size, event.stream_id)
        elif stream.producing or not add_to_last_received(stream._inboundDataBuffer, event.data, size):
            super()._requestDataReceived(event)

    def _requestEnded(self, event: Any) -> None:
        """A request is whole."""
        if event.stream_id in self.streams:
            super()._requestEnded(event)

    def _requestAborted(self, event: Any) -> None:
        """The client gives a request up."""
        if event.stream_id in self.streams:
            super()._requestAborted(event)

    def _requestDone(self, stream_id: int) -> None:
        """A stream is over, in whichever way."""
        stream = self.streams[stream_id]
        if self._stillProducing:
            # What was kept for the application counts for the connection's window until it is said to be taken.
            kept = sum(size for piece, size in stream._inboundDataBuffer if piece is not _END_STREAM_SENTINEL)
            stream._inboundDataBuffer.clear()
            self.conn.acknowledge_received_data(kept, stream_id)
            if stream._request.was_answered_early:  # RFC 9113 section 8.1
                self.conn.reset_stream(stream_id, ErrorCodes.NO_ERROR)
            self._tryToWriteControlData()
        super()._requestDone(stream_id)
        if ending := self._ending.pop(stream_id, None):
            ending.cancel()
        self._close_if_done()

    def endRequest(self, stream_id: int) -> None:
        """A response is whole; it leaves for as long as its client takes it."""
        super().endRequest(stream_id)
        if stream_id in self.streams and (watch := self.watch(stream_id, lambda: self._stalled(stream_id))):
            self._ending[stream_id] = watch

    def watch(self, stream_id: int, stalled: Callable[[], object]) -> StallWatch | None:
        """Watch whether the client takes a response; None where it may take its time."""
        seconds = self.server.options.send_timeout_seconds
        if not seconds:
            return None
        return StallWatch(self.server.wheel, seconds, lambda: self.how_far(stream_id), stalled)

    def _stalled(self, stream_id: int) -> None:
        self.met("http.sendTimeoutSeconds", "cut")
        self.cut_stream(stream_id)

    def cut_stream(self, stream_id: int) -> None:
        """End one stream so that its client sees that it is not whole."""
        self.conn.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        if self._tryToWriteControlData():
            self._requestDone(stream_id)

    def timeoutConnection(self) -> None:
        """Nothing has come or gone for a while: only who waits for an application may go on waiting."""
        for stream in list(self.streams.values()):
            if stream.producing and not stream._request.body_is_whole:
                stream._request.cut()
        if self.streams:
            self.setTimeout(self.timeOut)
        else:
            super().timeoutConnection()

    # What a drain asks.

    @property
    def is_fresh(self) -> bool:
        """Whether it is open and no request has been made on it yet."""
        return bool(self._stillProducing) and not self.has_served

    @property
    def is_sending(self) -> bool:
        """Whether a part of a response waits for its client's leave to be sent."""
        return bool(self._stillProducing) and bool(self.streams)

    def end_when_idle(self) -> None:
        """Tell the client to make its next request elsewhere; close when those that it has made are answered."""
        if not self._stillProducing or self._going_away:
            return
        self._going_away = True
        # h2 itself says this only as the very last thing (its state has no drain), so it does not hear of it.
        frame = GoAwayFrame(0, last_stream_id=self.conn.highest_inbound_stream_id, error_code=ErrorCodes.NO_ERROR)
        self.transport.write(frame.serialize())
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._going_away and not self.streams and self._stillProducing:
            self.transport.loseConnection()


def add_to_last_received(buffer: Any, data: bytes, size: int) -> bool:
    """Join a piece of a body to the last one that waits for a paused stream; say whether it fits there."""
    if not buffer or buffer[-1][0] is _END_STREAM_SENTINEL:
        return False
    last, last_size = buffer[-1]
    joined = [last]
    if not add_to_last(joined, data):
        return False
    buffer[-1] = (joined[0], last_size + size)
    return True


class Http2Request(GatewayRequest):
    """One request on a stream."""

    _length: int | None = None

    def _await_head(self) -> None:
        """It is there: a stream begins with a whole one."""

    def gotLength(self, length: int | None) -> None:
        """Note what the head says; the rest of it follows."""
        self._length = length

    def head_is_whole(self) -> None:
        """Begin, so that the application takes the body as it comes."""
        stream, options = self.channel, self.server.options
        self._body = StreamedBody(
            self.server.loop, options.inbox_high_bytes, stream.pauseProducing, lambda: self._go_on_with(stream)
        )
        path = stream.path or b""  # CONNECT has none
        if 0 < options.max_body_bytes < (self._length or 0):
            self.method, self.uri, self.clientproto = stream.command, path, b"HTTP/2"
            self.request_start = self.server.loop.time()
            self._refuse_body(options.max_body_bytes)
        else:
            self._begin(stream.command, path, b"HTTP/2")

    def _host_problem(self) -> str:
        return ""  # :authority stands in its place (RFC 9113 section 8.3.1)

    def _refuse_malformed(self, text: str) -> None:
        self.path = self.path if self.path.isascii() else b"/"
        self._answer(400, text, [])

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is whole."""
        if self._body is not None:
            self._body.end()

    def _go_on_with(self, stream: Any) -> None:
        if not self.finished and not self._disconnected:
            stream.resumeProducing()

    def _refuse_body(self, limit: int) -> None:
        self._refused = True
        if self._response_started:
            self.channel._conn.met("http.maxBodySize", "cut")
            self.cut()
        else:
            self.channel._conn.met("http.maxBodySize", "answered with 413")
            self._answer(413, f"The body of a request may have {limit} bytes.", [])

    def _watch(self) -> StallWatch | None:
        stream = self.channel
        watch: StallWatch | None = stream._conn.watch(stream.streamID, self._stalled)
        return watch

    def _stalled(self) -> None:
        if self.channel is not None:
            self.channel._conn.met("http.sendTimeoutSeconds", "cut")
        self.cut()

    @property
    def was_answered_early(self) -> bool:
        """Whether the response is complete and the body is not, which nobody waits for then."""
        return bool(self.finished) and not self._disconnected and not self.body_is_whole

    def cut(self) -> None:
        """Drop this request; the others of its connection go on."""
        stream = self.channel
        if stream is not None and not self.finished:
            stream._conn.cut_stream(stream.streamID)
            self.connectionLost(Failure(ConnectionAborted()))
