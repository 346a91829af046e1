from __future__ import annotations

from realtime_gateway.layer.machine.follow import Follow, Span
from realtime_gateway.layer.machine.unsettled import Unsettled


def follow(name: str, shard: str = "0") -> Follow:
    return Follow(f"g:{name}", Span(shard, 0), 0.0)


def test_a_shard_is_awaited_until_the_last_of_its_follows_is_live() -> None:
    unsettled, one, two = Unsettled(), follow("one"), follow("two")
    unsettled.not_live(one)
    unsettled.not_live(two)
    unsettled.live(one)
    unsettled.live(one)
    assert unsettled.awaited_on("0")
    assert not unsettled.awaited_on("1")
    assert unsettled.awaited == 1
    unsettled.live(two)
    assert not unsettled.awaited_on("0")


def test_what_is_live_stays_until_it_is_let_go() -> None:
    unsettled, one = Unsettled(), follow("one")
    unsettled.not_live(one)
    unsettled.live(one)
    assert list(unsettled) == [one]
    unsettled.remove(one)
    assert not list(unsettled)


def test_a_follow_that_moves_is_awaited_on_its_new_owner_only() -> None:
    unsettled, one = Unsettled(), follow("one")
    unsettled.not_live(one)
    one.span = Span("1", 1)
    unsettled.not_live(one)
    assert not unsettled.awaited_on("0")
    assert unsettled.awaited_on("1")


def test_a_follow_that_is_left_is_not_waited_for() -> None:
    unsettled, one = Unsettled(), follow("one")
    unsettled.not_live(one)
    unsettled.not_live(one)
    unsettled.remove(one)
    assert not unsettled.awaited_on("0")
    assert not list(unsettled)


def test_it_may_change_while_it_is_looked_through() -> None:
    unsettled = Unsettled()
    for name in ("one", "two", "three"):
        unsettled.not_live(follow(name))
    for one in unsettled:
        unsettled.remove(one)
    assert not list(unsettled)
