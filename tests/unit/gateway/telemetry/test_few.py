"""A few messages of each second are traced."""

from __future__ import annotations

from realtime_gateway.telemetry.few import Few


def test_the_first_few_of_each_second_are_taken() -> None:
    now = 10.0
    few = Few(2, lambda: now)
    assert [few() for _ in range(4)] == [True, True, False, False]
    now = 10.9
    assert not few()
    now = 11.0
    assert [few() for _ in range(3)] == [True, True, False]
