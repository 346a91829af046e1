from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from realtime_gateway.server.drain import (
    COME_BACK_PER_SECOND,
    LONGEST_ABSENCE_SECONDS,
    Pace,
    Phase,
    closing_times,
    come_back_seconds,
)

PACE = Pace(period_seconds=30, jitter=0.5, slowest_per_second=20)


@given(
    count=some.integers(0, 500),
    period=some.floats(0, 3600),
    jitter=some.floats(0, 1),
    seed=some.integers(),
)
def test_everybody_is_closed_in_order_and_within_the_period(count: int, period: float, jitter: float, seed: int):
    times = closing_times(count, Pace(period, jitter, 20), Random(seed).random)
    assert len(times) == count
    assert times == sorted(times)
    assert all(0 <= time <= period for time in times)


def test_many_are_spread_evenly_over_the_whole_period():
    times = closing_times(3000, PACE, Random(1).random)
    per_second = [sum(1 for time in times if second <= time < second + 1) for second in range(30)]
    assert max(per_second) - min(per_second) <= 2
    assert times[-1] > 29


def test_few_do_not_take_the_whole_period():
    assert closing_times(1, PACE, Random(1).random)[-1] < 0.1
    assert closing_times(20, PACE, Random(1).random)[-1] < 1.1


def test_without_jitter_the_gaps_are_equal():
    times = closing_times(10, Pace(5, 0, 0.1), Random(1).random)
    assert times == [0.5 * index for index in range(10)]


def test_jitter_moves_each_close():
    one, other = (closing_times(100, PACE, Random(seed).random) for seed in (1, 2))
    assert one != other


def test_a_period_of_zero_closes_everybody_at_once():
    assert set(closing_times(100, Pace(0, 1, 20), Random(1).random)) == {0.0}


@given(count=some.integers(1, 100_000), window=some.floats(0, 3600), seed=some.integers())
def test_everybody_is_told_to_come_back_within_a_minute_and_not_at_once(count: int, window: float, seed: int):
    assert 1 <= come_back_seconds(count, window, Random(seed).random) <= LONGEST_ABSENCE_SECONDS


def test_who_is_sent_away_slowly_enough_comes_back_in_a_second():
    assert {come_back_seconds(3000, 30, Random(seed).random) for seed in range(100)} == {1}
    assert {come_back_seconds(50, 0, Random(seed).random) for seed in range(100)} == {1}


@pytest.mark.parametrize("window", [0, 10])
def test_who_is_sent_away_faster_comes_back_spread_so_far_that_none_of_it_is_a_wave(window: float):
    random = Random(1).random
    count = 4000
    leaves = [window * index / count for index in range(count)]
    back = [at + come_back_seconds(count, window, random) for at in leaves]
    per_second = [sum(1 for at in back if second <= at < second + 1) for second in range(60)]
    assert max(per_second) <= 1.5 * COME_BACK_PER_SECOND


def test_a_server_drains_from_the_signal_on():
    assert [phase.draining for phase in Phase] == [False, False, True, True, True]
