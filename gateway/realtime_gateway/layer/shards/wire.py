"""One socket to one Redis: commands out as one buffer per loop turn, replies in, matched in order.

It never reconnects and never sends anything twice. There is no timeout on reading, since a receiver may be idle for
hours; a PING that is not answered within a limit says that the peer is gone.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

import hiredis

Reply = Callable[[Any], None]
_NOT_ENOUGH = object()
# hiredis's own stub knows tuples of one element only.
_pack: Any = hiredis.pack_command
# A loop that was busy for so long has replies waiting unread, so silence proves nothing.
_LATE_SECONDS = 2.0


class Wire(asyncio.Protocol):
    """Takes over the transport of a connection that has been set up.

    Args:
        on_push: called with each reply that no command waits for; None on a command connection.
        on_lost: called once, with what went wrong, when the socket is gone.
    """

    def __init__(self, on_push: Callable[[Any], None] | None, on_lost: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(notEnoughData=_NOT_ENOUGH)
        self._on_push = on_push
        self._on_lost = on_lost
        self._waiting: deque[Reply] = deque()
        self._buffer: list[bytes] = []
        self._transport: Any = None
        self._held: object = None
        self._lost = False
        self._heard_at = self._loop.time()
        self._pinged_at: float | None = None
        self._looked_at = self._heard_at

    def take_over(self, transport: asyncio.BaseTransport, held: object) -> None:
        """Become the protocol of ``transport``; ``held`` is kept from being collected as long as this is."""
        self._transport = transport
        self._held = held
        self._transport.set_protocol(self)

    def redirect_pushes(self, on_push: Callable[[Any], None]) -> None:
        """Give what comes from now on to somebody else."""
        self._on_push = on_push

    @property
    def file_number(self) -> int:
        """The socket's file descriptor, -1 when it has none."""
        socket = self._transport.get_extra_info("socket") if self._transport else None
        number: int = socket.fileno() if socket is not None else -1
        return number

    def command(self, parts: tuple[str | bytes | int, ...], reply: Reply) -> None:
        """Send a command at the end of this turn; ``reply`` gets the answer, and never comes when the socket dies."""
        self._waiting.append(reply)
        self.write(parts)

    def write(self, parts: tuple[str | bytes | int, ...]) -> None:
        """Send a command whose answer is a push."""
        if not self._buffer:
            self._loop.call_soon(self._flush, context=Context())
        self._buffer.append(_pack(parts))

    def look_after(self, now: float, quiet_seconds: float, limit_seconds: float) -> None:
        """Ping a peer that has been quiet, and give up one that has not answered within the limit."""
        late = now - self._looked_at > _LATE_SECONDS
        self._looked_at = now
        if late or self._lost:
            self._heard_at = max(self._heard_at, now - quiet_seconds)
            self._pinged_at = now if self._pinged_at is not None else None
            return
        if self._pinged_at is not None and self._heard_at < self._pinged_at:
            if now - self._pinged_at > limit_seconds:
                self.close(f"no answer to PING within {limit_seconds:g} s")
            return
        self._pinged_at = None
        if now - self._heard_at >= quiet_seconds:
            self._pinged_at = now
            if self._on_push is None:
                self.command(("PING",), _ignore)
            else:
                self.write(("PING",))

    def close(self, reason: str) -> None:
        """Cut the connection now; what is in flight gets no answer."""
        if self._transport is not None and not self._loop.is_closed():
            self._transport.abort()
        self._gone(reason)

    def data_received(self, data: bytes) -> None:
        """Read what came; called by the transport."""
        self._heard_at = self._loop.time()
        reader = self._reader
        reader.feed(data)
        try:
            while not self._lost:
                reply = reader.gets()
                if reply is _NOT_ENOUGH:
                    return
                if self._on_push is not None:
                    self._on_push(reply)
                elif self._waiting:
                    self._waiting.popleft()(reply)
        except hiredis.ProtocolError as error:
            self.close(f"what came is not Redis's protocol: {error}")

    def eof_received(self) -> bool:
        """Let the transport close; called by it."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell the owner; called by the transport."""
        self._gone(str(error) if error else "the server closed the connection")

    def _flush(self) -> None:
        buffer, self._buffer = self._buffer, []
        if not self._lost and buffer:
            self._transport.write(buffer[0] if len(buffer) == 1 else b"".join(buffer))

    def _gone(self, reason: str) -> None:
        if self._lost:
            return
        self._lost = True
        self._waiting.clear()
        self._buffer.clear()
        self._on_lost(reason)


def _ignore(reply: Any) -> None:
    """Take an answer that says nothing new."""
