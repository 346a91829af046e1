"""A WebSocket that asks a silent client now and then whether it is still there, and ends one that does not answer.

autobahn makes a payload for each ping, with a time and random bytes, and two timers. Here one prepared frame is
written to everybody, the connection itself stands on the wheel, and an answer is only noted: what it means is looked at
when the connection's time has come again.

    open ──interval──▶ ping ──interval, or timeout if that is less──▶ answered?  yes: ping when the interval is over
                        ▲                                             no, and the timeout is not over: look again then
                        └─────────────────────────────────────────────no, and it is: the end
"""

from __future__ import annotations

from typing import Any

from realtime_gateway.server.frames import PING, encode_frame
from realtime_gateway.server.lean_protocol import PING_PAYLOAD
from realtime_gateway.server.paced_websocket import PacedWebSocket
from realtime_gateway.server.wheel import Slot

_PING = encode_frame(PING, PING_PAYLOAD)


class PingingWebSocket(PacedWebSocket):
    """The connection's time of pings; an interval of 0 is none, and a timeout of 0 waits for ever."""

    kept_attributes = (*PacedWebSocket.kept_attributes, "_place", "_waited_seconds", "_frame_at_ping")

    autoPingInterval: float
    autoPingTimeout: float
    _place: Slot | None = None  # on the wheel
    _waited_seconds = 0.0  # for the answer to the last ping, when the time on the wheel has come; 0: ping then
    _frame_at_ping: tuple[int, int] | None = None  # how much of it had come at the last ping or look

    def open(self) -> None:
        """Begin to exchange frames, and to wait for the first ping's time."""
        super().open()
        if self.autoPingInterval and self.state == self.STATE_OPEN:
            self._look_in(self.autoPingInterval)

    def _look_in(self, seconds: float) -> None:
        self._place = self.server.wheel.put(seconds, self)

    def take(self) -> None:
        """Ping, or see what has become of the last ping; the wheel calls this."""
        self._place = None
        waited, interval, timeout = self._waited_seconds, self.autoPingInterval, self.autoPingTimeout
        if self.state == self.STATE_CLOSED:
            return
        if not waited or not self.awaits_pong:
            self._waited_seconds = 0.0
            if 0 < waited < interval:
                self._look_in(interval - waited)
            elif self.state == self.STATE_OPEN:
                self._ping(interval, timeout)
        elif not timeout:
            self._look_in(interval)
        elif waited < timeout:
            self._waited_seconds = timeout
            self._look_in(timeout - waited)
        else:
            self._has_not_answered()

    def _ping(self, interval: float, timeout: float) -> None:
        self.awaits_pong = True
        self._frame_at_ping = self.frame_in_progress()
        self._waited_seconds = min(interval, timeout) if timeout else interval
        self._look_in(self._waited_seconds)
        self.transport.write(_PING)

    def _has_not_answered(self) -> None:
        """End the client, unless it cannot have been heard.

        While we wait for its consumer, its answer may be there unread; and while a frame of its own goes on arriving,
        it can only come behind that (RFC 6455 section 5.4).
        """
        frame_before, self._frame_at_ping = self._frame_at_ping, self.frame_in_progress()
        is_sending = self._frame_at_ping not in (None, frame_before)
        if is_sending or (self.application_queue.paused and self._drained is None):
            self._look_in(self.autoPingTimeout)
        else:
            self.onAutoPingTimeout()

    def _connectionLost(self, reason: Any) -> None:
        super()._connectionLost(reason)
        if self._place is not None:
            self._place.discard(self)
            self._place = None
