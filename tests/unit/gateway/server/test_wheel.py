from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.server.wheel import AT_ONCE, SLOT_SECONDS, Deadline, Wheel


class Clock:
    """A loop that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[list] = []
        self.soon: list[Callable[[], object]] = []
        self.armed = 0

    def call_at(self, when: float, call: Callable[[], object]) -> Clock.Handle:
        self.armed += 1
        entry = [when, call]
        self.timers.append(entry)
        return Clock.Handle(self, entry)

    class Handle:
        def __init__(self, clock: Clock, entry: list) -> None:
            self.clock, self.entry = clock, entry

        def cancel(self) -> None:
            self.clock.timers.remove(self.entry)

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while self.soon or (self.timers and min(self.timers)[0] <= until):
            if self.soon:
                self.soon.pop(0)()
                continue
            entry = min(self.timers, key=lambda each: each[0])
            self.timers.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1]()
        self.now = until

    def wheel(self) -> Wheel:
        return Wheel(lambda: self.now, self.call_at, self.soon.append)


def test_a_call_is_made_once_and_not_before_its_time():
    clock, made = Clock(), []
    wheel = clock.wheel()
    wheel.call_later(1, made.append, "a")
    clock.advance(0.99)
    assert made == []
    clock.advance(SLOT_SECONDS + 0.01)
    assert made == ["a"]
    clock.advance(10)
    assert made == ["a"]
    assert len(wheel) == 0


@given(delays=st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=40))
def test_every_call_that_is_not_cancelled_is_made_within_a_slot_of_its_time(delays):
    clock, made = Clock(), {}
    wheel = clock.wheel()
    turns = [
        wheel.call_later(delay, lambda number=number: made.setdefault(number, clock.now))
        for number, (delay, _) in enumerate(delays)
    ]
    for turn, (_, cancelled) in zip(turns, delays, strict=True):
        if cancelled:
            turn.cancel()
    clock.advance(200)
    assert set(made) == {number for number, (_, cancelled) in enumerate(delays) if not cancelled}
    assert all(-1e-6 <= at - 100.0 - delays[number][0] <= SLOT_SECONDS + 1e-6 for number, at in made.items())
    assert len(wheel) == 0


@given(delays=st.lists(st.floats(0.01, 5), min_size=1, max_size=20))
def test_a_call_that_a_call_adds_is_not_made_early_either(delays):
    clock, late = Clock(), []
    wheel = clock.wheel()

    def add(delay: float) -> None:
        began = clock.now
        wheel.call_later(delay, lambda: late.append(clock.now - began - delay))

    for delay in delays:
        wheel.call_later(delay, add, delay)
    clock.advance(20)
    assert len(late) == len(delays)
    assert all(-1e-6 <= by <= SLOT_SECONDS + 1e-6 for by in late)
    assert len(wheel) == 0


def test_the_loop_holds_one_timer_however_many_calls_wait():
    clock = Clock()
    wheel = clock.wheel()
    for number in range(1000):
        wheel.call_later(number % 50, int)
    assert len(clock.timers) == 1


def test_a_large_slot_lets_the_loop_go_on_between_its_parts():
    clock, made = Clock(), []
    wheel = clock.wheel()
    for number in range(AT_ONCE * 3):
        wheel.call_later(1, made.append, number)
    when, call = clock.timers.pop()
    clock.now = when
    call()
    assert len(made) == AT_ONCE
    assert len(clock.soon) == 1
    clock.advance(0)
    assert len(made) == AT_ONCE * 3


def test_a_call_may_add_and_cancel_others_and_one_that_raises_takes_none_along():
    clock, made = Clock(), []
    wheel = clock.wheel()

    def fail() -> None:
        raise ValueError

    def again() -> None:
        made.append("again")
        if len(made) < 3:
            wheel.call_later(1, again)

    wheel.call_later(1, fail)
    wheel.call_later(1, again)
    for _ in range(20):
        try:
            clock.advance(1)
        except ValueError:
            made.append("failed")
    assert sorted(made) == ["again", "again", "failed"] or sorted(made) == ["again", "again", "again", "failed"]
    assert len(wheel) == 0


def test_a_deadline_is_put_off_from_the_time_at_which_it_is_and_comes_once():
    clock, called = Clock(), []
    wheel = Wheel(lambda: clock.now, clock.call_at, clock.soon.append)
    deadline = Deadline(wheel, 10, lambda: called.append(clock.now))
    clock.advance(9)
    deadline.reset(10)
    clock.advance(9)
    assert called == []
    clock.advance(1 + SLOT_SECONDS)
    assert len(called) == 1
    deadline.cancel()
    deadline.reset(1)
    deadline.cancel()
    clock.advance(60)
    assert (len(called), len(wheel)) == (1, 0)


def test_what_stands_on_the_wheel_itself_is_taken_once_and_leaves_its_slot_when_it_is_discarded():
    clock, taken = Clock(), []
    wheel = clock.wheel()

    class Due:
        def __init__(self, name: str) -> None:
            self.name = name

        def take(self) -> None:
            taken.append((self.name, clock.now))
            if self.name == "again" and len(taken) < 3:
                wheel.put(5, self)

    stays, leaves = Due("again"), Due("left")
    wheel.put(5, stays)
    wheel.put(5, leaves).discard(leaves)
    clock.advance(4.99)
    assert taken == []
    clock.advance(30)
    assert [name for name, _ in taken] == ["again"] * 3
    assert all(0 <= at - 100 - 5 * number <= SLOT_SECONDS * number for number, (_, at) in enumerate(taken, 1))
    assert len(wheel) == 0
