"""Pure. Messages from one client that its consumer has not taken yet, and when to stop reading more.

A consumer that is slower than its client would otherwise fill the memory of the process. Over the high mark reading
stops, so that the client meets TCP's own backpressure; under the low mark it goes on. What has been read already is
kept: the bound is the high mark plus one read and one message.
"""

from __future__ import annotations

from collections import deque
from typing import Any

# What a small message costs in memory beside its payload: a dict, a str and their places. Counting it keeps the bound
# honest for a flood of one-byte messages.
OVERHEAD_BYTES = 512


class Inbox:
    """A queue that knows its weight.

    Args:
        high_bytes: stop reading at or above this.
        low_bytes: go on reading at or below this.

    Attributes:
        messages: with their weights, oldest first; None while there are none.
    """

    __slots__ = ("_high_bytes", "_low_bytes", "messages", "paused", "waiting_bytes")

    def __init__(self, high_bytes: int, low_bytes: int) -> None:
        self._high_bytes = high_bytes
        self._low_bytes = low_bytes
        self.messages: deque[tuple[dict[str, Any], int]] | None = None  # takes 760 bytes, and is mostly empty
        self.waiting_bytes = 0
        self.paused = False

    def __len__(self) -> int:
        return 0 if self.messages is None else len(self.messages)

    def put(self, message: dict[str, Any], size_bytes: int) -> bool:
        """Add a message; True means: stop reading now (said once)."""
        weight = size_bytes + OVERHEAD_BYTES
        if self.messages is None:
            self.messages = deque()
        self.messages.append((message, weight))
        self.waiting_bytes += weight
        if self.paused or self.waiting_bytes < self._high_bytes:
            return False
        self.paused = True
        return True

    def take(self) -> tuple[dict[str, Any], bool]:
        """Remove the oldest message; True with it means: read on now (said once).

        Raises:
            IndexError: the inbox is empty.
        """
        messages = self.messages
        if messages is None:
            raise IndexError("the inbox is empty")
        message, weight = messages.popleft()
        if not messages:
            self.messages = None
        self.waiting_bytes -= weight
        if not self.paused or self.waiting_bytes > self._low_bytes:
            return message, False
        self.paused = False
        return message, True
