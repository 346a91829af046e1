"""A plain TCP transport that sends what it can at once.

Twisted collects what is written and sends it when the event loop says that the socket takes it: two system calls and
a turn of the loop more per message. Here an empty buffer means: try now. What the socket does not take goes Twisted's
way, with its backpressure and its errors, so nothing else changes. TLS never comes here: it wraps another transport.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import main, tcp
from twisted.python import failure


class PromptTransport(tcp.Server):
    """Twisted's transport of an accepted TCP connection, with a shorter way out."""

    _read_bytes = 0
    _reading = False  # the reactor would have to make a list of all connections to say whether it reads this one

    def write(self, data: bytes) -> None:
        """Send data now if nothing is waiting before it, else in order behind what waits."""
        if self.dataBuffer or self._tempDataBuffer or self.disconnecting or not self.connected or self.TLS:
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:
            # Not now, or never again. Twisted meets that again in its own turn of the loop, where a protocol expects
            # to lose its connection.
            sent = 0
        if sent < len(data):
            super().write(data[sent:])

    # uvloop calls the reader of a socket that is reset once, and then watches it no more. What Twisted has not read by
    # then it would never read, nor learn that the connection is over.

    def _dataReceived(self, data: bytes) -> Any:
        """Look again in the next turn where a whole buffer came."""
        self._read_bytes += len(data)
        why = super()._dataReceived(data)
        if not why and len(data) >= self.bufferSize and self._is_read():
            self.reactor.callLater(0, self._read_on)
        return why

    def startReading(self) -> None:
        """Read on, or end a connection that the loop watches no more."""
        try:
            super().startReading()
        except RuntimeError:
            self.reactor.callLater(0, self._is_over)
        else:
            self._reading = True
            if self._read_bytes >= self.bufferSize:  # no request of a page pays for it
                self.reactor.callLater(0, self._read_on)

    def stopReading(self) -> None:
        """Read no more until told to."""
        self._reading = False
        super().stopReading()

    def readConnectionLost(self, reason: failure.Failure) -> None:
        """The client sends no more: the reactor has stopped reading."""
        self._reading = False
        super().readConnectionLost(reason)

    def startWriting(self) -> None:
        """Write when the socket takes it, or end a connection that the loop watches no more."""
        try:
            super().startWriting()
        except RuntimeError:
            self.reactor.callLater(0, self._is_over)

    def _is_read(self) -> bool:
        return bool(self.connected) and not self.disconnected and self._reading

    def _read_on(self) -> None:
        if self._is_read():
            why = self.doRead()
            if why:
                self._is_over()

    def _is_over(self) -> None:
        if self.connected and not self.disconnected:
            self.stopReading()
            self.stopWriting()
            self.connectionLost(failure.Failure(main.CONNECTION_LOST))


def waiting_bytes(transport: Any) -> int:
    """Return how much has been written to a transport, of any kind, and not been taken by its socket."""
    plain = getattr(transport, "transport", transport)  # TLS wraps another
    waiting: int = len(plain.dataBuffer) - plain.offset + plain._tempDataLen
    return waiting + sum(map(len, getattr(transport, "_appSendBuffer", ())))
