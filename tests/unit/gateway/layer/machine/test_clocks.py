from __future__ import annotations

from math import inf

import pytest

from realtime_gateway.layer.machine.clocks import Clocks, midway
from realtime_gateway.layer.machine.follow import Server

OLD, NEW = Server("old", "data"), Server("new", "data")


def test_an_entrys_age_is_told_by_the_clock_of_the_server_that_stored_it() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10)
    assert clocks.seconds_since("0", 49_000, now=10) == 1
    assert clocks.seconds_since("0", 49_000, now=12) == 3


def test_after_a_failover_an_entry_is_taken_for_no_older_than_any_of_the_clocks_says() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10)
    clocks.note("0", NEW, 58_000, now=10)  # its clock is eight seconds ahead
    assert clocks.seconds_since("0", 49_000, now=10) == 1


def test_nothing_is_younger_than_now() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10)
    assert clocks.seconds_since("0", 51_000, now=10) == 0
    assert clocks.seconds_since("elsewhere", 1, now=10) == 0


def test_clocks_of_servers_that_are_long_gone_are_forgotten() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 0, now=10)
    for number in range(4):
        clocks.note("0", Server(str(number), "data"), 50_000, now=10)
    assert clocks.seconds_since("0", 49_000, now=10) == 1


def test_an_answer_that_was_long_on_its_way_says_less_than_the_one_before_it() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10, error_seconds=0.01)
    clocks.note("0", OLD, 50_100, now=14, error_seconds=4)
    assert clocks.seconds_since("0", 49_000, now=14) == 5


def test_a_clock_that_was_put_back_is_believed() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10, error_seconds=0.01)
    clocks.note("0", OLD, 45_000, now=11, error_seconds=0.05)
    assert clocks.seconds_since("0", 44_000, now=11) == 1


def test_a_clock_is_taken_to_have_been_read_half_way_between_question_and_answer() -> None:
    # Asked at 9.96, answered at 10.00: its 50 s were read at 9.98, so at 0 it showed 40.02 s.
    assert midway((50_000 - 10_000, 0.04)) == pytest.approx(40.02)
    assert midway((50_000 - 10_000, inf)) == 40.0


def test_how_long_ago_a_server_stored_an_entry_is_told_by_its_own_clock() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10, error_seconds=0.04)
    clocks.note("0", NEW, 90_000, now=10, error_seconds=0.04)
    assert clocks.since_stored("0", OLD, 49_000, now=10) == pytest.approx(1.02)
    assert clocks.since_stored("0", NEW, 49_000, now=10) == pytest.approx(41.02)
    assert clocks.since_stored("0", OLD, 99_000, now=10) == 0
    assert clocks.since_stored("elsewhere", OLD, 49_000, now=10) == 0


def test_an_estimate_is_stated_with_half_of_the_round_trip_as_its_error() -> None:
    clocks = Clocks()
    clocks.note("0", OLD, 50_000, now=10)
    assert clocks.estimate("0", OLD) is None  # by a fence, whose round trip nobody has measured
    clocks.note("0", OLD, 50_000, now=10, error_seconds=0.04)
    assert clocks.estimate("0", OLD) == pytest.approx((40.02, 0.02))
