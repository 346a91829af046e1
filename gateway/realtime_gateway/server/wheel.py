"""Pure. Every deadline of every connection on one timer: pings, their answers, ages, closing handshakes.

    slots   12.25 ─▶ {turn, turn, …}    12.50 ─▶ {turn}    32.25 ─▶ {…}
            ▲ the loop has one timer, for this one

A timer of the event loop per connection and purpose would cost a heap entry each, and cancelling it leaves the entry
there until its time. Here both ends are an operation on a set, and the price is a fire up to a slot too late.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any, Protocol

SLOT_SECONDS = 0.25
# A slot that is shared by many must not hold up everybody else's messages.
AT_ONCE = 256


class Timer(Protocol):
    """What the event loop's ``call_at`` returns."""

    def cancel(self) -> None:
        """Forget the call."""


class Due(Protocol):
    """What stands on the wheel."""

    def take(self) -> object:
        """Do what was to be done at this time."""


Slot = set[Due]


class Turn:
    """One call that is to be made later."""

    __slots__ = ("_arguments", "_function", "_slot")

    def __init__(self, slot: Slot, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._slot = slot
        self._function = function
        self._arguments = arguments

    def cancel(self) -> None:
        """Do not make the call; nothing when it has been made."""
        self._slot.discard(self)

    def take(self) -> None:
        """Make the call."""
        self._function(*self._arguments)


class Wheel:
    """Calls by the time at which they are due; autobahn's protocols use it in place of its own batched timer.

    Args:
        now: the loop's clock, in seconds.
        call_at: the loop's own, for the one timer.
        call_soon: the loop's own, between two parts of a large slot.
    """

    def __init__(
        self,
        now: Callable[[], float],
        call_at: Callable[[float, Callable[[], object]], Timer],
        call_soon: Callable[[Callable[[], object]], object],
    ) -> None:
        self._now = now
        self._call_at = call_at
        self._call_soon = call_soon
        self._slots: dict[int, Slot] = {}
        self._order: list[int] = []
        self._timer: Timer | None = None
        self._timer_for = 0

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def call_later(self, delay_seconds: float, function: Callable[..., object], *arguments: Any) -> Turn:
        """Call ``function`` after ``delay_seconds``, never earlier, and at most a slot later."""
        slot = self._slot(delay_seconds)
        turn = Turn(slot, function, arguments)
        slot.add(turn)
        return turn

    def put(self, delay_seconds: float, due: Due) -> Slot:
        """Have ``due`` taken as late as a call would be made; return where it stands, to discard it from there.

        For what stands here again and again, and needs no turn of its own: it is in one slot at a time.
        """
        slot = self._slot(delay_seconds)
        slot.add(due)
        return slot

    def _slot(self, delay_seconds: float) -> Slot:
        index = math.ceil((self._now() + delay_seconds) / SLOT_SECONDS)
        slot = self._slots.get(index)
        if slot is None:
            slot = self._slots[index] = set()
            heapq.heappush(self._order, index)
            self._wind()
        return slot

    def _wind(self) -> None:
        if self._timer is not None:
            if self._timer_for <= self._order[0]:
                return
            self._timer.cancel()
        self._timer_for = self._order[0]
        self._timer = self._call_at(self._timer_for * SLOT_SECONDS, self._due)

    def _due(self) -> None:
        self._timer = _NoTimer()  # calls that are added meanwhile are later, and wait for the end of this slot
        slot = self._slots[self._order[0]]
        try:
            for _ in range(min(AT_ONCE, len(slot))):
                if slot:  # a call may cancel others
                    slot.pop().take()
        finally:  # a call that raises is reported by the loop, and the others follow
            self._after(slot)

    def _after(self, slot: Slot) -> None:
        if slot:
            self._call_soon(self._due)
            return
        self._timer = None
        del self._slots[heapq.heappop(self._order)]
        if self._order:
            self._wind()


class Deadline:
    """One call on a wheel that can be put off, as Twisted's IDelayedCall can.

    Args:
        wheel: where it stands.
        delay_seconds: from now.
        function: what is called, once, unless it is cancelled before.
    """

    __slots__ = ("_function", "_turn", "_wheel")

    def __init__(self, wheel: Wheel, delay_seconds: float, function: Callable[[], object]) -> None:
        self._wheel = wheel
        self._function = function
        self._turn = wheel.call_later(delay_seconds, function)

    def reset(self, delay_seconds: float) -> None:
        """Count from now again."""
        self._turn.cancel()
        self._turn = self._wheel.call_later(delay_seconds, self._function)

    def cancel(self) -> None:
        """Do not make the call; nothing when it has been made."""
        self._turn.cancel()


class _NoTimer:
    """Stands for the rest of a slot, which is called soon whatever else is put on the wheel."""

    def cancel(self) -> None:
        """Nothing to forget: an earlier slot cannot come to be."""
