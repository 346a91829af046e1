from __future__ import annotations

import pytest

from realtime_gateway.security.token_bucket import TokenBucket, TokenBuckets


def test_a_new_bucket_gives_its_burst_and_then_what_has_come() -> None:
    bucket = TokenBucket(10, 3)
    assert [bucket.take(1, 100.0) for _ in range(4)] == [1, 1, 1, 0]
    assert bucket.take(1, 100.09) == 0
    assert bucket.take(5, 100.25) == 2
    assert bucket.wait_seconds(100.25) == pytest.approx(0.05)


def test_a_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(10, 3)
    bucket.take(3, 0.0)
    assert not bucket.is_full(0.29)
    assert bucket.is_full(0.3)
    assert bucket.take(100, 1000.0) == 3


@pytest.mark.parametrize("rate", [0.1, 1, 3, 7, 1 / 60, 1e6])
def test_whole_tokens_are_not_lost_to_arithmetic(rate: float) -> None:
    bucket, now = TokenBucket(rate, 7), 1e6
    assert bucket.take(100, now) == 7
    for _ in range(1000):
        now += 1 / rate
        assert bucket.take(2, now) == 1


def test_all_or_nothing_says_how_long_to_wait() -> None:
    bucket = TokenBucket(100, 50)
    assert bucket.take_all(40, 1.0) == 0.0
    assert bucket.take_all(40, 1.0) == pytest.approx(0.3)
    assert bucket.take_all(10, 1.0) == 0.0  # what was refused has taken nothing
    assert bucket.take_all(1, 1.0) == pytest.approx(0.01)


def test_what_is_larger_than_a_bucket_takes_a_full_one() -> None:
    bucket = TokenBucket(100, 50)
    assert bucket.take_all(1000, 1.0) == 0.0
    assert bucket.take_all(1000, 1.1) == pytest.approx(0.4)
    assert bucket.take_all(1000, 1.5) == 0.0


def test_buckets_by_name_are_apart_and_say_when_there_is_more() -> None:
    buckets = TokenBuckets()
    assert buckets.take("a", (2, 3), 5, 0.0) == (3, pytest.approx(0.5))
    assert buckets.take("b", (2, 3), 3, 0.0) == (3, 0.0)


def test_another_rate_begins_another_bucket() -> None:
    buckets = TokenBuckets()
    buckets.take("a", (2, 3), 3, 0.0)
    assert buckets.take("a", (2, 4), 9, 0.0)[0] == 4


def test_newcomers_who_find_no_room_share_a_bucket_and_do_not_push_out_who_was_there() -> None:
    buckets = TokenBuckets(most=100)
    for number in range(100):
        assert buckets.take(str(number), (0.001, 5), 5, 0.0) == (5, 0.0)
    assert [buckets.take(f"new {number}", (0.001, 5), 1, 1.0)[0] for number in range(1000)] == [1] * 5 + [0] * 995
    assert [buckets.take(str(number), (0.001, 5), 1, 1.0)[0] for number in range(100)] == [0] * 100
    assert len(buckets) == 100


def test_many_rates_of_newcomers_are_not_kept_either() -> None:
    buckets = TokenBuckets(most=1)
    for number in range(1000):
        buckets.take("a", (0.001 + number, 5), 5, 0.0)
    assert len(buckets) == 1
    assert len(buckets._of_newcomers) <= 100


def test_buckets_that_are_full_again_make_room_wherever_they_are() -> None:
    buckets = TokenBuckets(most=100)
    for number in range(100):
        buckets.take(str(number), (0.001, 5) if number % 2 else (1, 5), 5, 0.0)
    taken = [buckets.take(f"new {number}", (0.001, 5), 5, 10.0)[0] for number in range(60)]
    assert sum(taken) == 5 * (50 + 1)  # those that share one have its five


def test_the_number_of_buckets_is_bounded_and_those_in_use_stay() -> None:
    buckets = TokenBuckets(most=100)
    buckets.take("used", (0.001, 5), 5, 0.0)
    for number in range(1000):
        buckets.take(str(number), (1, 1), 1, number * 0.1)
    assert len(buckets) <= 100
    assert buckets.take("used", (0.001, 5), 1, 100.0)[0] == 0
