"""A plain TCP transport that sends what it can at once.

Twisted collects what is written and sends it when the event loop says that the socket takes it: two system calls and
a turn of the loop more per message. Here an empty buffer means: try now. What the socket does not take goes Twisted's
way, with its backpressure and its errors, so nothing else changes. TLS never comes here: it wraps another transport.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import error, main, tcp
from twisted.internet.address import IPv6Address
from twisted.logger import Logger
from twisted.python import failure

_log = Logger()
_CLOSED = failure.Failure(error.ConnectionDone())  # one for all, as the reactor has it


class PromptTransport(tcp.Server):
    """Twisted's transport of an accepted TCP connection, with a shorter way out."""

    disconnecting: int
    ends_now = False  # whether it closes in the next step, whatever its client does
    _read_bytes = 0
    _reading = False  # the reactor would have to make a list of all connections to say whether it reads this one

    def __init__(self, sock: Any, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any) -> None:
        # What the constructors of three classes do, without their calls. What names it in a log is made of what it has
        # anyway, when somebody asks.
        self.reactor = reactor
        self._tempDataBuffer: list[bytes] = []
        self._tempDataLen = 0
        self.socket = sock
        sock.setblocking(False)
        self.fileno = sock.fileno
        self.protocol = protocol
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server = server
        self.client = client
        self.sessionno = sessionno
        self.hostname = client[0]
        self.startReading()
        self.connected = 1

    def logPrefix(self) -> str:
        """Name the connection in Twisted's log."""
        return f"{type(self.protocol).__name__},{self.sessionno},{self.hostname}"

    def __repr__(self) -> str:
        return f"<{type(self.protocol).__name__} #{self.sessionno} of {self.hostname}>"

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
        if not data:
            return main.CONNECTION_DONE
        self._read_bytes += len(data)
        self.protocol.dataReceived(data)
        if len(data) >= self.bufferSize and self._is_read():
            self.reactor.callLater(0, self._read_on)
        return None

    def _readable(self) -> None:
        """Read; the loop calls this, where Twisted's reactor has it go through three calls and two copies of a dict."""
        try:
            why = self.doRead()
        except Exception as problem:
            _log.failure("The protocol of a connection failed")
            why = problem
        if why:
            self.reactor._disconnectSelectable(self, why, True)

    def take(self, data: bytes) -> None:
        """Take what has been read already, as if the loop had said that it is there."""
        try:
            self._dataReceived(data)
        except Exception as problem:
            _log.failure("The protocol of a connection failed")
            self.reactor._disconnectSelectable(self, problem, True)

    def _watch(self) -> None:
        """Do what the reactor's ``addReader`` does, without a tuple of arguments and a method of its for each."""
        reactor = self.reactor
        if self in reactor._readers:
            return
        number = self.fileno()
        try:
            reactor._asyncioEventloop.add_reader(number, self._readable)
        except OSError:
            super().startReading()  # Twisted knows what to do then
        else:
            reactor._readers[self] = number

    def startReading(self) -> None:
        """Read on, or end a connection that the loop watches no more."""
        try:
            self._watch()
        except RuntimeError:
            self.reactor.callLater(0, self._is_over)
        else:
            self._reading = True
            if self._read_bytes >= self.bufferSize:  # no request of a page pays for it
                self.reactor.callLater(0, self._read_on)

    def resumeProducing(self) -> None:
        """Read on, where it does not."""
        if not self._reading:
            super().resumeProducing()

    def stopReading(self) -> None:
        """Read no more until told to."""
        if self._reading:
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

    def loseConnection(self) -> None:
        """Close behind what is written; where nothing waits, in the next step, which the loop need not say to come."""
        has_to_ask = self.producer is not None and (self.producerPaused or not self.streamingProducer)
        if (
            self.dataBuffer
            or self._tempDataBuffer
            or has_to_ask
            or self.TLS
            or not self.connected
            or self.disconnecting
            or self._writeDisconnected
        ):
            super().loseConnection()
            return
        self.stopReading()
        self.disconnecting = 1
        self.ends_now = True
        self.reactor._asyncioEventloop.call_soon(self._all_is_written)

    def _all_is_written(self) -> None:
        if self.disconnected or self._aborting:
            return
        if self.dataBuffer or self._tempDataBuffer:  # by somebody who writes on
            self.startWriting()
        else:
            self.connectionLost(_CLOSED)

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
