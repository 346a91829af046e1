"""A client that takes nothing from one look to the next has stalled; any other is waited for."""

from __future__ import annotations

from tests.unit.gateway.server.test_wheel import Clock

from realtime_gateway.server.stall_watch import StallWatch


class Client:
    """What has been taken, and how often it was said to have stalled."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.taken: int | None = 0
        self.stalls = 0
        self.watch = StallWatch(self.clock.wheel(), 10, lambda: self.taken, self._stalled)

    def _stalled(self) -> None:
        self.stalls += 1


def test_a_client_that_takes_nothing_has_stalled_after_one_look_and_is_said_to_once():
    client = Client()
    client.clock.advance(9)
    assert client.stalls == 0
    client.clock.advance(100)
    assert client.stalls == 1


def test_a_client_that_takes_something_between_any_two_looks_is_waited_for():
    client = Client()
    for _ in range(100):
        client.taken += 1
        client.clock.advance(10)
    assert client.stalls == 0
    client.clock.advance(20)
    assert client.stalls == 1


def test_who_is_not_watched_any_more_is_not_said_to_have_stalled():
    client = Client()
    client.watch.cancel()
    client.clock.advance(100)
    assert client.stalls == 0
    later = Client()
    later.taken += 1
    later.clock.advance(11)
    later.watch.cancel()
    later.clock.advance(100)
    assert later.stalls == 0


def test_a_watch_is_over_when_nothing_is_left_to_take():
    client = Client()
    client.taken = None
    client.clock.advance(11)
    assert client.watch.is_over
    client.clock.advance(100)
    assert client.stalls == 0


def test_a_watch_that_was_ended_or_has_found_a_stall_is_over():
    one, other = Client(), Client()
    one.watch.cancel()
    other.clock.advance(11)
    assert other.stalls == 1
    assert one.watch.is_over
    assert other.watch.is_over
