"""What was seen of each sender, for as long as it may come again; leaving a group is no reason to forget it."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_gateway.layer.machine.follow import Follow


class Memory:
    """The marks of destinations that nobody follows any more, and the turning of all marks' generations.

    Args:
        memory_seconds: nothing older than this can come back.
    """

    def __init__(self, memory_seconds: float) -> None:
        self._memory_seconds = memory_seconds
        self._rotated_at: float | None = None
        self._departed: dict[str, Follow] = {}

    def __len__(self) -> int:
        return len(self._departed)

    def keep(self, follow: Follow, now: float) -> None:
        """Nobody follows a destination any more."""
        if follow.marks or follow.marks_before:
            follow.seen_at = now
            follow.take_held()
            self._departed[follow.destination] = follow

    def recall(self, follow: Follow) -> None:
        """Somebody follows it again: against repetition only, since what was sent meanwhile is no gap."""
        gone = self._departed.pop(follow.destination, None)
        if gone is not None:
            follow.marks_before = {**gone.marks_before, **gone.marks}

    def tick(self, follows: Iterable[Follow], now: float) -> None:
        """Forget senders that have been silent for long."""
        if self._rotated_at is None:
            self._rotated_at = now
        elif now - self._rotated_at > self._memory_seconds:
            self._rotated_at = now
            for follow in follows:
                follow.rotate()
            limit = now - self._memory_seconds
            self._departed = {name: gone for name, gone in self._departed.items() if gone.seen_at > limit}
