from hypothesis import given
from hypothesis import strategies as st

from realtime_gateway.server.keepalive import AGE_JITTER, age_seconds


@given(maximum=st.floats(1, 1e6), share=st.floats(0, 1))
def test_nobody_gets_older_than_the_maximum_or_leaves_before_three_quarters_of_it(maximum: float, share: float):
    age = age_seconds(maximum, -1, lambda: share)
    assert age is not None
    assert maximum * (1 - AGE_JITTER) <= age <= maximum


def test_the_shorter_of_both_limits_counts_and_daphnes_is_exact():
    assert age_seconds(0, 60, lambda: 1) == 60
    assert age_seconds(100, 60, lambda: 1) == 60
    assert age_seconds(40, 60, lambda: 0) == 40


def test_without_a_limit_there_is_no_age():
    assert age_seconds(0, -1, lambda: 0.5) is None
