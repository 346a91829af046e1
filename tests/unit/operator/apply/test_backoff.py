"""Failed actions wait, longer each time; another action does not."""

from __future__ import annotations

from realtime_operator.apply.backoff import Backoff
from realtime_operator.plan import Apply, Outcome, Promote
from realtime_operator.snapshot import Address

APPLY = Apply({"kind": "Service", "metadata": {"name": "chat", "annotations": {"applied": "1"}}})
OTHER = Apply({"kind": "Service", "metadata": {"name": "chat", "annotations": {"applied": "2"}}})
REFUSED = Outcome(APPLY, "Forbidden", "no")


def test_a_failed_action_stands_until_it_may_be_tried_again() -> None:
    backoff = Backoff()
    backoff.note([REFUSED], 0.0)
    assert backoff.standing(APPLY, 1.9) == REFUSED
    assert backoff.standing(APPLY, 2.0) is None
    assert backoff.next_try() == 2.0


def test_each_failure_doubles_the_wait_up_to_five_minutes() -> None:
    backoff, now, waits = Backoff(), 0.0, []
    for _ in range(10):
        backoff.note([REFUSED], now)
        retry_at = backoff.next_try()
        assert retry_at is not None
        waits.append(retry_at - now)
        now = retry_at
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_an_outcome_that_only_stands_is_no_new_failure() -> None:
    backoff = Backoff()
    backoff.note([REFUSED], 0.0)
    backoff.note([REFUSED], 1.0)
    assert backoff.next_try() == 2.0


def test_what_a_person_must_change_waits_longest() -> None:
    backoff = Backoff()
    backoff.note([Outcome(APPLY, "Rejected", "no", permanent=True)], 0.0)
    assert backoff.next_try() == 300


def test_another_manifest_is_tried_at_once() -> None:
    backoff = Backoff()
    backoff.note([REFUSED], 0.0)
    assert backoff.standing(OTHER, 0.1) is None


def test_what_worked_or_is_not_wanted_any_more_is_forgotten() -> None:
    backoff = Backoff()
    backoff.note([REFUSED], 0.0)
    backoff.note([Outcome(Promote("chat-redis-0", Address("10.0.0.1", 6379)))], 1.0)
    assert backoff.next_try() is None
