from realtime_gateway.local.back_off import HEALTHY_SECONDS, LONGEST_SECONDS, BackOff


def delays(*ran_seconds: float) -> list[float]:
    back_off, found = BackOff(), []
    for seconds in ran_seconds:
        back_off = back_off.after_end(seconds)
        found.append(back_off.delay_seconds)
    return found


def test_each_end_that_follows_closely_doubles_the_wait():
    assert delays(1, 1, 1, 1) == [0.5, 1, 2, 4]


def test_the_wait_has_an_upper_bound_however_often_it_ends():
    assert delays(*[0] * 3000)[-1] == LONGEST_SECONDS


def test_a_child_that_had_recovered_starts_again_from_the_shortest_wait():
    assert delays(1, 1, 1, HEALTHY_SECONDS, 1) == [0.5, 1, 2, 0.5, 1]
