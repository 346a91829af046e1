"""Accepts TCP connections, and takes what their clients have said by then in the same step.

Twisted makes a generator, a buffer of log lines and an address object for each turn of its loop or each connection, and
has the loop say of each connection later that there is something to read: a fifth of what a handshake cost. Here the
request of a client that has sent it, as most have when they are accepted, is read at once; that is one turn of the loop
and one call of ``epoll_ctl(2)`` less. Whatever goes wrong is left to Twisted, with its errors and its log.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.python import log

from realtime_gateway.server.prompt_transport import PromptTransport

# Others have their turn then: it takes some milliseconds, and the loop comes back for the rest at once.
_AT_ONCE = 16


class PromptPort:
    """Stands before one of Twisted's TCP ports, which goes on to own the socket and everything else.

    Args:
        port: listening, whose factory makes protocols that are ``heard`` of at once.
        loop: the reactor's event loop.
    """

    def __init__(self, port: Any, loop: Any) -> None:
        self._port = port
        port.doRead = self._readable  # for whoever accepts before the loop says that there is somebody
        # In the place of Twisted's own callback, which goes with the port's stopReading as that would.
        loop.add_reader(port.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            self.accept()
        except Exception:
            log.err()

    def accept(self) -> None:
        """Accept those who wait, up to so many."""
        port = self._port
        listener, factory, reactor = port.socket, port.factory, port.reactor
        family = port.addressFamily
        for _ in range(_AT_ONCE):
            try:
                number, address = listener._accept()
            except BlockingIOError:
                return
            except OSError:
                type(port).doRead(port)  # meets the same, and knows what to do
                return
            peer = socket.socket(family, socket.SOCK_STREAM, 0, number)
            try:
                if len(address) == 4:  # as Twisted: with the name of the scope
                    host, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
                    address = (host, *address[1:])
                protocol = factory.buildProtocol(None)
            except BaseException:
                peer.close()
                raise
            session = port.sessionno
            port.sessionno = session + 1
            transport = PromptTransport(peer, protocol, address, port, session, reactor)
            try:
                data = peer.recv(transport.bufferSize)
            except OSError:
                data = b""  # nothing yet, or an end or an error that comes again
            if data:
                protocol.transport = transport
                transport.take(data)
            else:
                protocol.makeConnection(transport)
