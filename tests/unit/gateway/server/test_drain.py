from random import Random

from hypothesis import given
from hypothesis import strategies as some

from realtime_gateway.server.drain import Pace, Phase, closing_times

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


def test_a_server_drains_from_the_signal_on():
    assert [phase.draining for phase in Phase] == [False, False, True, True, True]
