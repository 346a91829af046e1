"""One WebSocket: what its client and its application say to each other, and how it ends.

The request arrives parsed (``http``), so autobahn's own opening handshake is not used; its frame parser, its closing
handshake, its pings and its batched timers are. ``connection`` decides what an application's message means now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from autobahn.util import encode_truncate

from realtime_gateway import endings
from realtime_gateway.server import handshake
from realtime_gateway.server.application_run import ApplicationRun, InputQueue
from realtime_gateway.server.connection import (
    Accept,
    Action,
    Close,
    Connection,
    Deny,
    DenyBody,
    DenyStart,
    OutOfOrder,
    Send,
    State,
    outgoing,
)
from realtime_gateway.server.frames import BINARY, TEXT, encode_frame
from realtime_gateway.server.inbox import Inbox
from realtime_gateway.server.lean_protocol import LeanWebSocket
from realtime_gateway.server.outbox import SCOPE_KEY, Outbox
from realtime_gateway.telemetry import recorder, spans

if TYPE_CHECKING:
    from realtime_gateway.server.gateway_server import GatewayServer
    from realtime_gateway.server.http import RequestFacts

# Frames that a client sends before it is accepted wait here; more than this and reading stops until then.
EARLY_DATA_BYTES = 64 * 1024
# Frames of one turn of the loop are joined up to this size.
CORK_BYTES = 64 * 1024
CLOSE_REASON_BYTES = 123  # RFC 6455 section 5.5: a control frame holds 125 bytes, two are the code


class GatewayWebSocket(LeanWebSocket):
    """One WebSocket, from the moment its request is parsed until its transport is lost."""

    server: GatewayServer
    run: ApplicationRun
    application_queue: InputQueue
    client_addr: list[Any] | None = None
    path = ""
    _ended_as: endings.Ending | None = None  # when the server has ended it, why
    _disconnect_told = False
    _drained: asyncio.Future[None] | None = None
    _corked: list[bytes] | None = None
    _corked_bytes = 0
    _corked_spans: list[spans.Sending] | None = None
    _spans: spans.ConnectionSpans | None = None

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection()

    # Opening.

    def connectionMade(self) -> None:
        """Take over a transport; called by ``makeConnection``."""
        super().connectionMade()
        self.transport.registerProducer(self, True)

    def begin(self, facts: RequestFacts, upgrade: handshake.Upgrade) -> None:
        """Ask the application whether this request may become a WebSocket."""
        self.server = server = self.factory.server_class
        self.client_addr = facts.client
        self.path = facts.raw_path.decode("ascii")
        self.websocket_version = upgrade.version
        self.websocket_protocols = upgrade.subprotocols
        self._wskey = upgrade.key
        self.websocket_extensions = ()  # none is offered back, permessage-deflate neither
        recorder.connections.add(1, "websocket")
        if server.websocket_connect_timeout >= 0:
            self.openHandshakeTimeoutCall = self.factory._batched_timer.call_later(
                server.websocket_connect_timeout, self._application_is_late
            )
        inbox = Inbox(server.options.inbox_high_bytes, server.options.inbox_low_bytes)
        self.application_queue = InputQueue(server.loop, inbox, self._pause_reading, self._resume_reading)
        self.application_queue.put_nowait({"type": "websocket.connect"})
        self._log_action("connecting")
        server.websocket_arrived(self)
        self._spans = spans.connection(facts.headers, facts.query_string)
        receive = self.application_queue.get if self._spans is None else self._receive_traced
        with spans.inside_connection():
            self.run = server.start_application(self, self._scope(facts, upgrade), receive, self.application_sent)
        if self._spans is not None and self.run.task is not None:
            self.run.task.add_done_callback(self._spans.application_ended)

    def _scope(self, facts: RequestFacts, upgrade: handshake.Upgrade) -> dict[str, Any]:
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "wss" if facts.scheme == "https" else "ws",
            "path": unquote(self.path),
            "raw_path": facts.raw_path,
            "root_path": facts.root_path,
            "query_string": facts.query_string,
            "headers": facts.headers,
            "client": facts.client,
            "server": facts.server,
            "subprotocols": list(upgrade.subprotocols),
            "extensions": {"websocket.http.response": {}, SCOPE_KEY: Outbox(self)},
            **self.server.scope_state(),
        }

    def processHandshake(self) -> None:
        """Keep frames that arrive before the application has answered; autobahn calls this for them."""
        if len(self.data) > EARLY_DATA_BYTES:
            self._pause_reading()

    def _application_is_late(self) -> None:
        self.openHandshakeTimeoutCall = None
        if self.connection.state is State.CONNECTING:
            recorder.handshakes.add(1, "timeout")
            self._deny(endings.HANDSHAKE_TIMEOUT)

    async def _receive_traced(self) -> dict[str, Any]:
        assert self._spans is not None
        self._spans.handled()
        message = await self.application_queue.get()
        self._spans.taken(message)
        return message

    # From the application.

    async def application_sent(self, message: dict[str, Any]) -> None:
        """Do what the application's message says, and wait while the client does not take what was sent."""
        if self.connection.state is State.OPEN and message.get("type") == "websocket.send":
            self._write(outgoing(message))
        else:
            action = self.connection.application_sent(message)
            if action is not None:
                self._perform(action)
        if self._drained is not None:
            await asyncio.shield(self._drained)

    def _perform(self, action: Action) -> None:
        match action:
            case Accept():
                self._accept(action)
            case Close():
                self.close_with(action.code, action.reason)
            case Deny():
                recorder.handshakes.add(1, "rejected")
                self._deny(action.ending)
            case DenyStart():
                recorder.handshakes.add(1, "rejected")
                self._stop_waiting_for_the_application()
                self.transport.write(handshake.response_head(action.status, action.headers, self.server.server_name))
            case DenyBody():
                self.transport.write(action.body)
                if action.last:
                    self._end_denied()
            case Send():
                self._write(action)

    def _accept(self, action: Accept) -> None:
        if action.subprotocol is not None and action.subprotocol not in self.websocket_protocols:
            self.connection.state = State.CONNECTING
            raise OutOfOrder(f"the client has not offered the subprotocol {action.subprotocol!r}")
        headers: dict[str, list[str]] = {}
        for name, value in action.headers:
            headers.setdefault(name.decode("latin1"), []).append(value.decode("latin1"))
        recorder.handshakes.add(1, "accepted")
        self.succeedHandshake((action.subprotocol, headers))
        self._resume_reading()

    def _write(self, message: Send) -> None:
        if self.state != self.STATE_OPEN:
            return
        recorder.messages_sent.add()
        span = spans.send(len(message.payload), message.is_binary)
        if span is not None:
            self._corked_spans = self._corked_spans or []
            self._corked_spans.append(span)
        frame = encode_frame(BINARY if message.is_binary else TEXT, message.payload)
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
                self.transport.write(frames[0] if len(frames) == 1 else b"".join(frames))
            if self._corked_spans:
                ended, self._corked_spans = self._corked_spans, None
                for span in ended:
                    span.end()

    def _deny(self, ending: endings.Ending, retry_after_seconds: int | None = None) -> None:
        if self.state != self.STATE_CONNECTING:
            return
        if self.connection.state is State.DENYING:  # the head of another answer has left already
            self._end_denied()
            return
        headers = [] if retry_after_seconds is None else [(b"retry-after", b"%d" % retry_after_seconds)]
        text = ending.reason or handshake.status_line(ending.status).split(None, 2)[2].decode().strip()
        self.transport.write(handshake.short_response(ending.status, text, self.server.server_name, headers))
        self._log_action("rejected")
        self._end_denied()

    def _end_denied(self) -> None:
        self._stop_waiting_for_the_application()
        self.state = self.STATE_CLOSED
        self.connection.client_left()
        self.transport.unregisterProducer()
        self.resumeProducing()  # nobody else would wake a send that waits
        self.transport.loseConnection()
        self._tell_disconnect(endings.LOST.code, "")

    def _stop_waiting_for_the_application(self) -> None:
        if self.openHandshakeTimeoutCall is not None:
            self.openHandshakeTimeoutCall.cancel()
            self.openHandshakeTimeoutCall = None

    def close_with(self, code: int, reason: str) -> None:
        """Start the closing handshake with any code; autobahn's ``sendClose`` refuses most of the registered ones."""
        self.connection.client_left()
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=encode_truncate(reason, CLOSE_REASON_BYTES) if reason else None)

    def sendCloseFrame(self, *arguments: Any, **named: Any) -> None:
        """Close behind what the application has sent so far; autobahn closes by this too."""
        self._uncork()
        super().sendCloseFrame(*arguments, **named)

    def end(self, ending: endings.Ending) -> None:
        """Close or refuse this connection because the server wants to."""
        if self.state == self.STATE_CONNECTING:
            recorder.handshakes.add(1, ending.label)
            self._deny(ending, retry_after_seconds=1)
        elif self.state == self.STATE_OPEN:
            self._ended_as = ending
            self.close_with(ending.code, ending.reason)

    def cut(self) -> None:
        """Drop the transport at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    def handle_exception(self, exception: BaseException) -> None:
        """The application failed: 500 or 1011."""
        if self.state == self.STATE_CONNECTING:
            recorder.handshakes.add(1, "failed")
            self._deny(endings.APPLICATION_ERROR)
        else:
            self.end(endings.APPLICATION_ERROR)

    def application_returned(self) -> None:
        """The application is over while the client is there."""
        if self.state == self.STATE_CONNECTING:
            recorder.handshakes.add(1, "failed")
            self._deny(endings.APPLICATION_ERROR)
        else:
            self.end(endings.NORMAL)

    # From the client.

    def onOpen(self) -> None:
        """Upstream logs each opening twice; once is the access log's."""
        self._log_action("connected")

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A whole message has arrived."""
        recorder.messages_received.add()
        if isBinary:
            message: dict[str, Any] = {"type": "websocket.receive", "bytes": payload}
        else:
            message = {"type": "websocket.receive", "text": payload.decode("utf8")}
        if self._spans is not None:
            message = self._spans.received(message, len(payload))
        self.application_queue.put_nowait(message, len(payload))

    def onAutoPingTimeout(self) -> None:
        """End a client that does not answer; while we do not read, its answer may be waiting unread."""
        if self.application_queue.paused:
            self.autoPingTimeoutCall = self.factory._batched_timer.call_later(
                self.autoPingTimeout, self.onAutoPingTimeout
            )
            return
        self._ended_as = endings.PING_TIMEOUT
        super().onAutoPingTimeout()

    def _connectionLost(self, reason: Any) -> None:
        super()._connectionLost(reason)
        self.stopProducing()
        recorder.connections.add(-1, "websocket")
        self.server.websocket_gone(self)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over: tell the application why."""
        self._stop_waiting_for_the_application()
        was_connecting = self.connection.state is State.CONNECTING
        self.connection.client_left()
        if self._disconnect_told:
            return
        ended_as, said_code, said_reason = self._how_it_ended(wasClean, code, reason)
        if was_connecting:
            recorder.handshakes.add(1, "abandoned")
        else:
            recorder.closed.add(1, ended_as.label)
        self._tell_disconnect(said_code, said_reason)
        self._log_action("disconnected")

    def _how_it_ended(self, was_clean: bool, code: int | None, reason: str | None) -> tuple[endings.Ending, int, str]:
        """Return the ending with the code and reason that the application hears: those of whoever closed first."""
        if self.closedByMe and self.localCloseCode is not None:
            said = self.localCloseCode, (self.localCloseReason or b"").decode("utf8", "replace")
        elif was_clean:
            said = code or endings.NO_CODE.code, reason or ""
        else:
            lost_as = self._ended_as or endings.LOST
            said = lost_as.code, lost_as.reason
        return self._ended_as or endings.by_code(said[0]), *said

    def _tell_disconnect(self, code: int, reason: str) -> None:
        if not self._disconnect_told:
            self._disconnect_told = True
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
            self.run.left()

    # Backpressure.

    def _pause_reading(self) -> None:
        if self.transport is not None:
            self.transport.pauseProducing()

    def _resume_reading(self) -> None:
        if self.transport is not None and not self.application_queue.paused and self.state != self.STATE_CLOSED:
            self.transport.resumeProducing()

    def pauseProducing(self) -> None:
        """The transport holds more than it wants to: ``send`` waits from now on."""
        if self._drained is None:
            self._drained = self.server.loop.create_future()

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def stopProducing(self) -> None:
        """The transport is gone: nobody waits for it."""
        self.resumeProducing()

    # The rest.

    def _log_action(self, action: str) -> None:
        if self.server.action_logger:
            client = "{}:{}".format(*self.client_addr) if self.client_addr else None
            self.server.log_action("websocket", action, {"path": self.path, "client": client})

    def __repr__(self) -> str:
        return f"<WebSocket {self.path} of {self.client_addr}>"
