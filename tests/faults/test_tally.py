"""The count itself sees what it is there to see."""

from dataclasses import replace

import pytest

from tests.faults.tally import Received, Sent, count

FIVE = Sent("sender", "room", 5, {})
MEMBER = Received("channel", frozenset({"room"}), {"room": {"sender": [0, 1, 2, 3, 4]}})


def counted(numbers, **more):
    tally = count([more.pop("sent", FIVE)], [replace(MEMBER, arrivals={"room": {"sender": numbers}}, **more)])
    return tally.delivered, tally.lost, tally.missed, tally.duplicated, tally.disordered


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0, 1, 2, 3, 4], (5, 0, 0, 0, 0)),
        ([0, 1, 3, 4], (4, 1, 1, 0, 0)),
        ([], (0, 5, 5, 0, 0)),
        ([0, 1, 1, 2, 3, 4], (5, 0, 0, 1, 0)),
        ([0, 1, 2, 3, 4, 0], (5, 0, 0, 1, 0)),
        ([0, 2, 1, 3, 4], (5, 0, 0, 0, 1)),
        ([4, 0, 1, 2, 3], (5, 0, 0, 0, 4)),
    ],
)
def test_each_fault_is_counted_as_what_it_is(numbers, expected):
    assert counted(numbers) == expected


def test_what_was_never_acknowledged_may_be_missing_and_may_arrive():
    failed = replace(FIVE, failed={2: ("ShardUnavailable", 10.0)})
    assert counted([0, 1, 3, 4], sent=failed) == (4, 0, 0, 0, 0)
    assert counted([0, 1, 2, 3, 4], sent=failed) == (5, 0, 0, 0, 0)


def test_what_a_process_was_told_of_is_missed_but_not_lost():
    assert counted([0, 1], told=frozenset({"room"})) == (2, 0, 3, 0, 0)
    assert counted([0, 1], told=frozenset({"another"})) == (2, 3, 3, 0, 0)
    assert count([FIVE], [replace(MEMBER, alarms=2), replace(MEMBER, alarms=1)]).told == 3


def test_a_queue_has_each_message_once_whoever_takes_it_and_in_any_order():
    queue = replace(MEMBER, shared=True, arrivals={"room": {"sender": [3, 0, 4, 3]}})
    tally = count([FIVE], [queue])
    assert (tally.taken, tally.twice, tally.lost) == (3, 1, 2)
    assert (tally.delivered, tally.duplicated, tally.disordered) == (0, 0, 0)


def test_the_longest_silence_of_all_members_counts():
    silent = replace(MEMBER, silence={"room": (10.0, 12.5), "hall": (0.0, 1.0)})
    assert count([FIVE], [MEMBER, silent]).silence_seconds == 2.5
