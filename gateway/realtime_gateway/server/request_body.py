"""A request's body on its way to the application: in pieces as they arrive, with the client slowed down to its pace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

# Pieces up to this size are kept as one: each would cost more memory than it brings.
JOINED_BYTES = 4096


class StreamedBody:
    """What ``receive`` reads for a request: its body, then the client's leaving.

    Several readers, and cancelled ones, are fine: each waits for a future of its own.

    Args:
        loop: the server's.
        high_bytes: stop reading from the client while this much waits; a reader takes all of it at once.
        pause: stop reading; called at each piece over the mark, since others may have resumed meanwhile.
        resume: go on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        high_bytes: int,
        pause: Callable[[], None],
        resume: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._high_bytes = high_bytes
        self._pause = pause
        self._resume = resume
        self._left = False
        self._waiters: list[asyncio.Future[None]] = []
        self._pieces: deque[bytes | bytearray] = deque()
        self._waiting_bytes = 0
        self._paused = False
        self.whole = False
        self._told_whole = False

    def feed(self, piece: bytes | bytearray) -> None:
        """Take a piece from the client."""
        if not piece:
            return
        if self._pieces and len(self._pieces[-1]) + len(piece) <= JOINED_BYTES:
            last = self._pieces[-1]
            if isinstance(last, bytes):
                last = self._pieces[-1] = bytearray(last)
            last += piece
        else:
            self._pieces.append(piece)
        self._waiting_bytes += len(piece)
        if self._waiting_bytes >= self._high_bytes:
            self._paused = True
            self._pause()
        self._wake()

    def end(self) -> None:
        """The client has sent all of it."""
        self.whole = True
        self._wake()

    def put_nowait(self, message: dict[str, Any]) -> None:
        """The client has left, or has its whole response; Daphne's request calls this with ``http.disconnect``."""
        self._left = True
        self._wake()

    async def get(self) -> dict[str, Any]:
        """Return the next piece of the body, or wait for it or for the client's leaving."""
        while (message := self._next()) is None:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append(waiter)
            await waiter
        return message

    def _next(self) -> dict[str, Any] | None:
        if self._told_whole or not (self._pieces or self.whole):
            return {"type": "http.disconnect"} if self._left else None
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._waiting_bytes = 0
        self._told_whole = self.whole
        if self._paused:
            self._paused = False
            self._resume()
        return {"type": "http.request", "body": piece, "more_body": not self._told_whole}

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
