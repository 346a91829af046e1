from __future__ import annotations

from collections.abc import Iterable

import pytest

from realtime_gateway.resource.limits import ByteRate, ConnectionLimits, MessageRate, UserLimits
from realtime_gateway.security.message_rates import Bucket, MessageRates, held_against, numbers, rates_of


def rates(limits: ConnectionLimits) -> MessageRates:
    return MessageRates([held_against(limit, rate, Bucket(*numbers(rate))) for limit, rate in rates_of(limits)])


def above(found: MessageRates, sizes: Iterable[int], now: float = 0.0) -> list[str | None]:
    return [None if (over := found.ask(size, now)) is None else over.rate.limit for size in sizes]


def test_messages_pass_up_to_the_burst_and_then_at_the_rate() -> None:
    found = rates(ConnectionLimits(messages=MessageRate(10, burst=3)))
    limit = "security.limits.perConnection.messages"
    assert above(found, [1] * 4) == [None, None, None, limit]
    assert above(found, [1, 1], 0.1) == [None, limit]


def test_without_a_burst_it_is_the_rate() -> None:
    assert numbers(MessageRate(7)) == (7, 7)
    assert numbers(ByteRate(7, 9)) == (7, 9)


def test_bytes_are_counted_by_size() -> None:
    found = rates(ConnectionLimits(volume=ByteRate(100, burst_bytes=1000)))
    assert above(found, [600, 300, 101]) == [None, None, "security.limits.perConnection.bytes"]


def test_a_message_that_waits_pays_each_rate_once() -> None:
    found = rates(ConnectionLimits(messages=MessageRate(1, burst=2), volume=ByteRate(100, burst_bytes=100)))
    assert found.ask(100, 0.0) is None
    over = found.ask(50, 0.0)
    assert over is not None
    assert (over.rate.by_size, over.cost) == (True, 50)
    assert over.wait_seconds == pytest.approx(0.5)
    for now in (0.1, 0.2, 0.3):
        assert found.ask(50, now) is not None
    assert found.ask(50, 0.5) is None
    # Two messages have been paid for, so the third has to wait for the rate of messages.
    over = found.ask(0, 0.5)
    assert over is not None
    assert not over.rate.by_size


def test_the_message_after_one_that_is_dropped_is_held_against_all_rates() -> None:
    found = rates(ConnectionLimits(messages=MessageRate(1, burst=3), volume=ByteRate(1, burst_bytes=10)))
    assert above(found, [10, 10]) == [None, "security.limits.perConnection.bytes"]
    found.dropped()
    assert above(found, [0]) == [None]
    assert above(found, [0]) == ["security.limits.perConnection.messages"]


def test_only_rates_that_are_set_are_asked() -> None:
    assert rates_of(UserLimits(open_connections=5)) == []
    assert [limit for limit, _ in rates_of(UserLimits(messages=MessageRate(1), volume=ByteRate(1)))] == [
        "security.limits.perUser.messages",
        "security.limits.perUser.bytes",
    ]
