"""One WebSocket: what its client and its application say to each other, and how it ends.

The request arrives parsed (``http``), so autobahn's own opening handshake is not used; its frame parser, its closing
handshake, its pings and its batched timers are. ``connection`` decides what an application's message means now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

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
from realtime_gateway.server.frames import BINARY, COMPRESSED, TEXT, encode_frame
from realtime_gateway.server.inbox import Inbox
from realtime_gateway.server.outbox import SCOPE_KEY, Outbox
from realtime_gateway.server.pinging_websocket import PingingWebSocket
from realtime_gateway.server.prompt_transport import waiting_bytes
from realtime_gateway.server.request_facts import websocket_scope
from realtime_gateway.server.traced_input import TracedInput
from realtime_gateway.server.wheel import Turn
from realtime_gateway.telemetry import recorder, socket_spans

if TYPE_CHECKING:
    from realtime_gateway.server.request_facts import RequestFacts

# Frames that a client sends before it is accepted wait here; more than this and reading stops until then.
EARLY_DATA_BYTES = 64 * 1024
CLOSE_REASON_BYTES = 123  # RFC 6455 section 5.5: a control frame holds 125 bytes, two are the code


class GatewayWebSocket(PingingWebSocket):
    """One WebSocket, from the moment its request is parsed until its transport is lost."""

    kept_attributes = (
        *PingingWebSocket.kept_attributes,
        *("connection", "outbox", "server", "client_addr", "path", "application_queue", "run"),
        *("_upgrade", "openHandshakeTimeoutCall", "_spans", "_perMessageCompress", "_handshake_result", "_aging"),
    )

    run: ApplicationRun
    client_addr: list[Any] | None = None
    path = ""
    _upgrade: handshake.Upgrade | None = None  # what the client asked for, until it is answered
    _ended_as: endings.Ending | None = None  # when the server has ended it, why
    _disconnect_told = False
    _handshake_result: str | None = None  # of its one answer; None: it has had none
    _corked_spans: list[socket_spans.Sending] | None = None
    _spans: socket_spans.ConnectionSpans | None = None
    _aging: Turn | None = None

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection()
        self.outbox: Outbox | None = Outbox(self)  # until it is open: the scope has it

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
        self._upgrade = upgrade
        recorder.connections.add(1, "websocket")
        if server.websocket_connect_timeout >= 0:
            self.openHandshakeTimeoutCall = server.wheel.call_later(
                server.websocket_connect_timeout, self._application_is_late
            )
        inbox = Inbox(server.options.inbox_high_bytes, server.options.inbox_low_bytes)
        self._spans = socket_spans.connection(facts.headers, facts.query_string, facts.scheme, self.path)
        if self._spans is None:
            self.application_queue = InputQueue(server.loop, inbox, self)
        else:
            self.application_queue = TracedInput(server.loop, inbox, self, self._spans)
        self._log_action("connecting")
        server.websocket_arrived(self)
        connect: dict[str, Any] = {"type": "websocket.connect"}
        extensions: dict[str, Any] = {"websocket.http.response": {}, SCOPE_KEY: self.outbox}
        if self._spans is not None:
            connect = self._spans.connecting(connect)
            if self._spans.handshake is not None:
                extensions[socket_spans.SCOPE_KEY] = self._spans.handshake
        self.application_queue.put_nowait(connect)
        scope = websocket_scope(facts, upgrade.subprotocols, extensions, server.scope_state())
        receive = self.application_queue.get
        if self._spans is None:
            self.run = server.start_application(self, scope, receive, self.application_sent)
            return
        with socket_spans.inside_connection():
            self.run = server.start_application(self, scope, receive, self.application_sent)
        if self.run.task is not None:
            self.run.task.add_done_callback(self._spans.application_ended)

    def processHandshake(self) -> None:
        """Keep frames that arrive before the application has answered; autobahn calls this for them."""
        if len(self.data) > EARLY_DATA_BYTES:
            self.pause_reading()

    def _application_is_late(self) -> None:
        self.openHandshakeTimeoutCall = None
        if self.connection.state is State.CONNECTING:
            self._handshake_ended("timeout", endings.HANDSHAKE_TIMEOUT.status)
            self._deny(endings.HANDSHAKE_TIMEOUT)

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
                self._handshake_ended("rejected", action.ending.status)
                self._deny(action.ending)
            case DenyStart():
                self._handshake_ended("rejected", action.status)
                self._stop_waiting_for_the_application()
                self._write_denial(handshake.response_head(action.status, action.headers, self.server.server_name))
            case DenyBody():
                self._write_denial(action.body)
                if action.last:
                    self._end_denied()
            case Send():
                self._write(action)

    def _accept(self, action: Accept) -> None:
        upgrade, headers = self._upgrade, action.headers
        assert upgrade is not None, "it is answered once"
        if action.subprotocol is not None and action.subprotocol not in upgrade.subprotocols:
            self.connection.state = State.CONNECTING
            raise OutOfOrder(f"the client has not offered the subprotocol {action.subprotocol!r}")
        self._upgrade = None
        agreed = self.server.compression.answer(upgrade.extensions)
        if agreed is not None:
            self._perMessageCompress = agreed[0]
            headers = (*headers, (b"Sec-WebSocket-Extensions", agreed[1].encode("ascii")))
        assert self.outbox is not None, "it is opened once"
        self.outbox.opened(self._perMessageCompress)
        self.outbox = None
        self._handshake_ended("accepted", 101)
        self.transport.write(handshake.acceptance(upgrade.key, action.subprotocol, headers, self.server.server_name))
        self.open()
        age = self.server.age_seconds()
        if age is not None:
            self._aging = self.server.wheel.call_later(age, self.end, endings.TOO_OLD)
        self.resume_reading()

    def _handshake_ended(self, result: str, status: int | None) -> None:
        if self._handshake_result is not None:  # what becomes of a denial's body is no second end
            return
        self._handshake_result = result
        recorder.handshakes.add(1, result)
        if self._spans is not None and self._spans.handshake is not None:
            self._spans.handshake.ended(result, status)

    def _write(self, message: Send) -> None:
        if self.state != self.STATE_OPEN:
            return
        payload, is_binary = message
        recorder.messages_sent.add()
        span = socket_spans.send(len(payload), is_binary)
        if span is not None:
            self._corked_spans = self._corked_spans or []
            self._corked_spans.append(span)
        if self._perMessageCompress is None:
            frame = encode_frame(BINARY if is_binary else TEXT, payload)
        else:
            frame = self._compressed(payload, is_binary)
        recorder.sent_bytes.add(len(frame))
        self._put(frame)

    def _compressed(self, payload: bytes, is_binary: bool) -> bytes:
        opcode, deflate = BINARY if is_binary else TEXT, self._perMessageCompress
        if deflate is None or len(payload) < self.server.compression.settings.least_bytes:
            return encode_frame(opcode, payload)
        return encode_frame(opcode | COMPRESSED, deflate.compressed(payload))

    def _uncork(self) -> None:
        """Write the frames that have come together."""
        super()._uncork()
        if self._corked_spans:
            ended, self._corked_spans = self._corked_spans, None
            unsent_bytes = 0 if self.transport is None else waiting_bytes(self.transport)
            for span in ended:
                socket_spans.sent(span, unsent_bytes)

    def _deny(self, ending: endings.Ending, retry_after_seconds: int | None = None) -> None:
        if self.state != self.STATE_CONNECTING:
            return
        if self.connection.state is State.DENYING:  # the head of another answer has left already
            self._end_denied()
            self.cut()  # an orderly end would make a whole answer of it
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
        self.transport.loseConnection()
        self._last_bytes_are_written()
        self._tell_disconnect(endings.LOST.code, "")

    def _stop_waiting_for_the_application(self) -> None:
        if self.openHandshakeTimeoutCall is not None:
            self.openHandshakeTimeoutCall.cancel()
            self.openHandshakeTimeoutCall = None

    def close_with(self, code: int, reason: str) -> None:
        """Start the closing handshake with any code; autobahn's ``sendClose`` refuses most of the registered ones."""
        self.connection.client_left()
        if self.state != self.STATE_OPEN:
            return
        # Who is closed for what he sends may go on sending: nothing of it is parsed any more (RFC 6455 section 7.1.7).
        self.failedByMe = code == endings.POLICY.code
        self.sendCloseFrame(code=code, reasonUtf8=encode_truncate(reason, CLOSE_REASON_BYTES) if reason else None)
        if self.failedByMe:
            self._say_no_more()

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Close behind what the application has sent so far; autobahn closes by this too, and echoes 1000 for all."""
        self._uncork()
        super().sendCloseFrame(self.remoteCloseCode if isReply else code, reasonUtf8, isReply)

    def _max_message_size_exceeded(self, msg_size: int, max_msg_size: int, reason: str) -> None:
        self.server.limit_log.met("websocket.maxMessageSize", self, "closed with 1009")
        super()._max_message_size_exceeded(msg_size, max_msg_size, reason)

    def end(self, ending: endings.Ending, retry_after_seconds: int = 1) -> None:
        """Close or refuse this connection because the server wants to."""
        if self.state == self.STATE_CONNECTING:
            self._handshake_ended(ending.label, ending.status)
            self._deny(ending, retry_after_seconds)
        elif self.state == self.STATE_OPEN:
            self._ended_as = ending
            self.close_with(ending.code, ending.reason)

    def handle_exception(self, exception: BaseException) -> None:
        """The application failed: 500 or 1011."""
        if self.state == self.STATE_CONNECTING:
            self._handshake_ended("failed", endings.APPLICATION_ERROR.status)
            self._deny(endings.APPLICATION_ERROR)
        else:
            self.end(endings.APPLICATION_ERROR)

    def application_returned(self) -> None:
        """The application is over while the client is there."""
        if self.state == self.STATE_CONNECTING:
            self._handshake_ended("failed", endings.APPLICATION_ERROR.status)
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
        recorder.received_bytes.add(len(payload))
        if isBinary:
            message: dict[str, Any] = {"type": "websocket.receive", "bytes": payload}
        else:
            message = {"type": "websocket.receive", "text": payload.decode("utf8")}
        if self._spans is not None:
            message = self._spans.received(message, len(payload))
        self.application_queue.put_nowait(message, len(payload))

    def onAutoPingTimeout(self) -> None:
        """End a client that does not answer."""
        self._ended_as = endings.PING_TIMEOUT
        super().onAutoPingTimeout()

    def _connectionLost(self, reason: Any) -> None:
        super()._connectionLost(reason)
        if self._aging is not None:
            self._aging.cancel()
            self._aging = None
        if self._perMessageCompress is not None:
            self.server.compression.gone(self._perMessageCompress)
        self.stopProducing()
        recorder.connections.add(-1, "websocket")
        self.server.websocket_gone(self)
        # What knows this connection, and is known by it, would wait for the garbage collector: 3 KB of each.
        self.outbox = None
        self.application_queue.no_more_comes()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over: tell the application why."""
        self._stop_waiting_for_the_application()
        self._handshake_ended("abandoned", None)  # unless it has been answered
        self.connection.client_left()
        if self._disconnect_told:
            return
        ended_as, said_code, said_reason = self._how_it_ended(wasClean, code, reason)
        if self._handshake_result == "accepted":
            recorder.closed.add(1, ended_as.label)
        self._tell_disconnect(said_code, said_reason)
        self._log_action("disconnected", code=said_code)

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

    # The rest.

    def _log_action(self, action: str, **more: Any) -> None:
        if self.server.action_logger:
            client = "{}:{}".format(*self.client_addr) if self.client_addr else None
            self.server.log_action("websocket", action, {"path": self.path, "client": client, **more})

    def __repr__(self) -> str:
        return f"<WebSocket {self.path} of {self.client_addr}>"
