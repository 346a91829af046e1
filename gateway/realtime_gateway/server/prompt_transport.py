"""A plain TCP transport that sends what it can at once.

Twisted collects what is written and sends it when the event loop says that the socket takes it: two system calls and
a turn of the loop more per message. Here an empty buffer means: try now. What the socket does not take goes Twisted's
way, with its backpressure and its errors, so nothing else changes. TLS never comes here: it wraps another transport.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import tcp


class PromptTransport(tcp.Server):
    """Twisted's transport of an accepted TCP connection, with a shorter way out."""

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


def waiting_bytes(transport: Any) -> int:
    """Return how much has been written to a transport, of any kind, and not been taken by its socket."""
    plain = getattr(transport, "transport", transport)  # TLS wraps another
    waiting: int = len(plain.dataBuffer) - plain.offset + plain._tempDataLen
    return waiting + sum(map(len, getattr(transport, "_appSendBuffer", ())))
