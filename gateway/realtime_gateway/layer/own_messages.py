"""What this process has sent and will receive itself, until it has come back.

A message passes through Redis even to its sender, on another connection than the answer to the send, so either may be
first. Whoever sends to his own process and then looks expects to find it, as in every other channel layer; and a
channel's capacity has to count what is on its way to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from realtime_gateway.layer.mailboxes import Waiter, woken


class OwnMessages:
    """Sequence numbers of messages on their way back.

    Args:
        seen: returns the highest number that has come back from a destination.
    """

    def __init__(self, seen: Callable[[str], int]) -> None:
        self._seen = seen
        self._on_their_way: dict[str, deque[int]] = {}
        self._awaited: dict[str, list[tuple[int, Waiter]]] = {}

    # Capacity

    def sent(self, channel: str, number: int) -> None:
        """Note the number of a message to an own channel."""
        self._on_their_way.setdefault(channel, deque()).append(number)

    def not_sent(self, channel: str, number: int) -> None:
        """Take back what was refused."""
        numbers = self._on_their_way.get(channel)
        if numbers is not None and number in numbers:
            numbers.remove(number)

    def count(self, channel: str, inbox: str) -> int:
        """How many messages are on their way to a channel through this process's inbox."""
        numbers = self._on_their_way.get(channel)
        if not numbers:
            return 0
        seen = self._seen(inbox)
        while numbers and numbers[0] <= seen:
            numbers.popleft()
        if not numbers:
            del self._on_their_way[channel]
            return 0
        return len(numbers)

    def forget(self, channel: str) -> None:
        """The channel is no more."""
        self._on_their_way.pop(channel, None)

    def clear(self) -> None:
        """Nothing is on its way any more."""
        self._on_their_way.clear()

    # Waiting

    def is_back(self, destination: str, number: int) -> bool:
        """Whether a message has come back."""
        return self._seen(destination) >= number

    def wait(self, destination: str, number: int, waiter: Waiter) -> None:
        """Wake ``waiter`` when the message with this number has come back."""
        self._awaited.setdefault(destination, []).append((number, waiter))

    def came(self, destination: str) -> None:
        """Something has come from a destination; called for each message, so it is cheap when nobody waits."""
        awaited = self._awaited.pop(destination, None) if self._awaited else None
        if awaited is None:
            return
        seen = self._seen(destination)
        still = []
        for number, waiter in awaited:
            if number > seen:
                still.append((number, waiter))
            else:
                woken(waiter)
        if still:
            self._awaited[destination] = still

    def give_up(self, destination: str, waiter: Waiter) -> None:
        """Wake one whose message has not come in time."""
        self.stop_waiting(destination, waiter)
        woken(waiter)

    def stop_waiting(self, destination: str, waiter: Waiter) -> None:
        """Forget one that was not woken."""
        left = [one for one in self._awaited.pop(destination, ()) if one[1] is not waiter]
        if left:
            self._awaited[destination] = left
