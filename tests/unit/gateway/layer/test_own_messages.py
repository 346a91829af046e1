from __future__ import annotations

from realtime_gateway.layer.own_messages import OwnMessages


class Sleeper:
    def __init__(self) -> None:
        self.woken = False

    def done(self) -> bool:
        return self.woken

    def set_result(self, result: None) -> None:
        assert not self.woken
        self.woken = True


class Seen(dict[str, int]):
    def __missing__(self, destination: str) -> int:
        return 0


def test_what_is_on_its_way_to_a_channel_is_counted_until_it_comes_back() -> None:
    seen = Seen()
    own = OwnMessages(seen.__getitem__)
    for number in (3, 4, 7):
        own.sent("a", number)
    own.sent("b", 5)
    assert (own.count("a", "i:me"), own.count("b", "i:me"), own.count("c", "i:me")) == (3, 1, 0)
    seen["i:me"] = 5
    assert (own.count("a", "i:me"), own.count("b", "i:me")) == (1, 0)


def test_what_was_refused_or_forgotten_is_not_on_its_way() -> None:
    own = OwnMessages(Seen().__getitem__)
    for number in (1, 2):
        own.sent("a", number)
    own.not_sent("a", 1)
    own.not_sent("a", 9)
    assert own.count("a", "i:me") == 1
    own.forget("a")
    assert own.count("a", "i:me") == 0
    own.sent("a", 3)
    own.clear()
    assert own.count("a", "i:me") == 0


def test_who_waits_is_woken_when_his_number_has_come_and_not_before() -> None:
    seen, early, late, gone = Seen(), Sleeper(), Sleeper(), Sleeper()
    own = OwnMessages(seen.__getitem__)
    own.wait("g:room", 5, early)
    own.wait("g:room", 6, late)
    own.wait("g:room", 6, gone)
    own.came("g:room")
    own.came("g:other")
    assert not early.woken
    own.stop_waiting("g:room", gone)
    seen["g:room"] = 5
    own.came("g:room")
    assert (early.woken, late.woken) == (True, False)
    assert own.is_back("g:room", 5)
    seen["g:room"] = 9
    own.came("g:room")
    assert (late.woken, gone.woken) == (True, False)


def test_nothing_is_left_of_who_has_given_up() -> None:
    seen, waiter = Seen(), Sleeper()
    own = OwnMessages(seen.__getitem__)
    own.wait("g:room", 5, waiter)
    own.stop_waiting("g:room", waiter)
    own.stop_waiting("g:room", waiter)
    seen["g:room"] = 5
    own.came("g:room")
    assert not waiter.woken


def test_who_has_waited_long_enough_is_woken_and_forgotten() -> None:
    seen, late, other, cancelled = Seen(), Sleeper(), Sleeper(), Sleeper()
    own = OwnMessages(seen.__getitem__)
    for waiter in (late, other, cancelled):
        own.wait("g:room", 5, waiter)
    own.give_up("g:room", late)
    assert (late.woken, other.woken) == (True, False)
    cancelled.woken = True
    own.give_up("g:room", cancelled)
    seen["g:room"] = 5
    own.came("g:room")
    assert other.woken


def test_who_waited_on_a_loop_that_was_closed_costs_nobody_else_anything() -> None:
    class OfClosedLoop(Sleeper):
        def set_result(self, result: None) -> None:
            raise RuntimeError("Event loop is closed")

    seen, other = Seen(), Sleeper()
    own = OwnMessages(seen.__getitem__)
    for waiter in (OfClosedLoop(), other):
        own.wait("g:room", 5, waiter)
    seen["g:room"] = 5
    own.came("g:room")
    assert other.woken
