from __future__ import annotations

import pytest

from realtime_gateway.layer.serializers import Serializer
from realtime_gateway.layer.undelivered import Delivery, Undelivered


def delivery(destination: str, members: int) -> Delivery:
    return Delivery(destination, "group", Serializer().body(b""), 60.0, members)


def test_the_oldest_message_is_served_to_its_end_before_the_next() -> None:
    waiting = Undelivered()
    first, second = delivery("g:a", 3), delivery("g:b", 1)
    waiting.add(first, ["1", "2", "3"])
    waiting.add(second, ["4"])
    assert waiting.members == 4
    assert waiting.take(2) == ([first], ["1", "2"], False)
    assert waiting.take(2) == ([first], ["3"], True)
    assert waiting.take(2) == ([second], ["4"], True)
    assert not waiting
    assert waiting.members == 0


def test_a_destination_waits_until_all_of_its_messages_are_served() -> None:
    waiting = Undelivered()
    for member in ("1", "2"):
        waiting.add(delivery("g:a", 1), [member])
    waiting.take(2)
    assert "g:a" in waiting
    waiting.take(2)
    assert "g:a" not in waiting


def test_messages_for_the_same_members_go_together() -> None:
    waiting = Undelivered()
    first, second, third = (delivery("g:a", 3) for _ in range(3))
    for each in (first, second, third):
        waiting.add(each, ["1", "2", "3"])
    assert waiting.take(2) == ([first, second, third], ["1", "2"], False)
    assert waiting.members == 3
    later = delivery("g:a", 3)
    waiting.add(later, ["1", "2", "3"])
    assert waiting.take(2) == ([first, second, third], ["3"], True)
    assert waiting.take(9) == ([later], ["1", "2", "3"], True)
    assert not waiting


@pytest.mark.parametrize("between", [("g:b", ["1", "2"]), ("g:a", ["1", "3"])])
def test_nothing_is_overtaken(between: tuple[str, list[str]]) -> None:
    waiting = Undelivered()
    first, last = delivery("g:a", 2), delivery("g:a", 2)
    other = delivery(between[0], 2)
    waiting.add(first, ["1", "2"])
    waiting.add(other, between[1])
    waiting.add(last, ["1", "2"])
    assert [waiting.take(9).deliveries for _ in range(3)] == [[first], [other], [last]]


def test_who_gets_a_message_is_settled_when_it_comes() -> None:
    waiting, members = Undelivered(), {"1": 0.0}
    waiting.add(delivery("g:a", 1), members)
    members["2"] = 0.0
    assert waiting.take(5)[1] == ["1"]


def test_clearing_forgets_everything() -> None:
    waiting = Undelivered()
    waiting.add(delivery("g:a", 1), ["1"])
    waiting.clear()
    assert not waiting
    assert "g:a" not in waiting
    assert waiting.members == 0
