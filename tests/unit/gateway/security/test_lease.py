from __future__ import annotations

import pytest

from realtime_gateway.security.lease import ASK, LEAST_WAIT_SECONDS, Lease


def grown(rate: float, burst: int) -> Lease:
    """One that has been used, with its share in hand."""
    lease = Lease(rate, burst)
    for _ in range(10):
        wanted = lease.wanted()
        lease.came(wanted, wanted, 0.0, 0.0)
    return lease


def test_a_tenth_of_the_burst_is_fetched_ahead_and_at_least_one_token() -> None:
    assert [grown(1, burst).left for burst in (1, 9, 100, 1000)] == [1, 1, 10, 100]


def test_at_first_one_token_is_fetched_and_more_with_each_time() -> None:
    lease, fetched = Lease(1, 1000), []
    for _ in range(6):
        wanted = lease.wanted()
        lease.came(wanted, wanted, 0.0, 0.0)
        fetched.append(wanted)
        lease.take(lease.left, 0.0)
    assert fetched == [1, 4, 16, 64, 100, 100]


def test_nothing_is_in_hand_until_it_was_fetched() -> None:
    lease = Lease(10, 100)
    assert lease.take(1, 0.0) == ASK
    lease.came(10, 10, 0.0, 0.0)
    assert [lease.take(1, 0.0) for _ in range(11)] == [0.0] * 10 + [ASK]


def test_more_is_fetched_before_it_is_needed_and_never_more_than_a_tenth_is_in_hand() -> None:
    lease = grown(10, 100)
    for _ in range(5):
        assert not lease.is_low(0.0)
        lease.take(1, 0.0)
    lease.take(1, 0.0)
    assert lease.is_low(0.0)
    assert lease.wanted() + lease.left == 10


def test_an_empty_bucket_is_left_alone_until_there_is_more() -> None:
    lease = Lease(2, 10)
    lease.came(0, 1, 0.4, 100.0)
    assert not lease.is_low(100.3)
    assert lease.take(1, 100.1) == pytest.approx(0.5)
    assert lease.take(1, 100.4) == ASK
    assert lease.is_low(100.4)


def test_an_empty_bucket_of_a_high_rate_is_left_alone_all_the_same() -> None:
    lease = Lease(1e6, 1_000_000)
    lease.came(5, 100_000, 1e-6, 100.0)
    assert lease.take(6, 100.0) == pytest.approx(LEAST_WAIT_SECONDS)
    assert lease.take(5, 100.0) == 0.0  # what is in hand is for use


def test_a_large_message_is_fetched_for_and_one_larger_than_the_bucket_takes_all_that_it_holds() -> None:
    lease = Lease(100, 1000)
    assert lease.wanted(700) == 700
    assert lease.wanted(5000) == 1000
    lease.came(1000, 1000, 0.0, 0.0)
    assert lease.take(5000, 0.0) == 0.0
    assert lease.left == 0


def test_who_waits_for_a_large_message_waits_until_there_is_enough() -> None:
    lease = Lease(100, 1000)
    lease.came(300, 800, 0.01, 10.0)
    assert lease.take(800, 10.0) == pytest.approx(5.0)
