from __future__ import annotations

from realtime_gateway.layer.machine.follow import Follow, Span
from realtime_gateway.layer.machine.memory import Memory

THEM = 5


def follow(now: float = 0) -> Follow:
    return Follow("g:room", Span("0", 0), now)


def test_what_was_seen_is_recalled_when_somebody_follows_again() -> None:
    memory, gone = Memory(90), follow()
    gone.first_time(THEM, 7)
    memory.keep(gone, now=1)
    again = follow()
    memory.recall(again)
    assert not again.first_time(THEM, 7)
    assert again.first_time(THEM, 8)


def test_what_nobody_sent_to_takes_no_memory() -> None:
    memory = Memory(90)
    memory.keep(follow(), now=1)
    assert len(memory) == 0


def test_senders_are_forgotten_after_two_turns_of_silence_and_departed_destinations_with_them() -> None:
    memory, present, gone = Memory(90), follow(), follow()
    gone.first_time(THEM, 7)
    present.first_time(THEM, 7)
    memory.tick([present], now=0)
    memory.keep(gone, now=2)
    memory.tick([present], now=91)
    assert (present.mark_of(THEM), len(memory)) == (7, 1)
    memory.tick([present], now=182)
    assert (present.mark_of(THEM), len(memory)) == (-1, 0)
