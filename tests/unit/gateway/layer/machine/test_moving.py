from __future__ import annotations

from tests.support.machine_bench import group_owned_by, hosts

from realtime_gateway.layer.machine import moving
from realtime_gateway.layer.machine.follow import Span

ONE = hosts(1, "a")
TWO = hosts(2, "a", "b", earlier=(ONE,))
FORTH_AND_BACK = hosts(3, "a", earlier=(hosts(2, "a", "b"), ONE))
MOVED = group_owned_by("b", TWO)
LEFT = group_owned_by("a", TWO)


def test_a_name_is_followed_through_every_list_that_is_not_retired() -> None:
    assert moving.owners_after(ONE, FORTH_AND_BACK, MOVED) == [(2, "b"), (3, "a")]
    assert moving.owners_after(TWO, FORTH_AND_BACK, MOVED) == [(3, "a")]


def test_a_move_ends_a_span_with_the_last_epoch_of_its_owner() -> None:
    first = Span("a", 1)
    ended, present = moving.split(first, 1, [(2, "b"), (3, "a")])
    assert [(span.shard, span.since_epoch, span.until_epoch) for span in ended] == [("a", 1, 1), ("b", 2, 2)]
    assert (present.shard, present.since_epoch, present.until_epoch) == ("a", 3, None)
    assert ended[0] is first


def test_a_name_that_stays_keeps_its_span() -> None:
    first = Span("a", 1)
    assert moving.split(first, 1, moving.owners_after(ONE, TWO, LEFT)) == ([], first)


def test_going_and_coming_back_is_being_elsewhere() -> None:
    assert moving.owned_elsewhere(ONE, FORTH_AND_BACK, MOVED, "a")
    assert not moving.owned_elsewhere(ONE, FORTH_AND_BACK, LEFT, "a")


def test_lists_that_were_retired_unseen_leave_owners_unknown() -> None:
    assert moving.has_unknown_owners(ONE, hosts(3, "a", "c"), took_part=False)
    assert not moving.has_unknown_owners(ONE, FORTH_AND_BACK, took_part=False)
    assert not moving.has_unknown_owners(ONE, hosts(2, "c"), took_part=False)


def test_a_plain_list_takes_part_from_the_first_document_that_it_sees() -> None:
    assert not moving.has_unknown_owners(hosts(0, "0"), hosts(7, "a"), took_part=False)


def test_a_plain_list_that_was_in_use_may_have_missed_lists_before_the_first_document_that_it_sees() -> None:
    plain = hosts(0, "0")
    assert moving.has_unknown_owners(plain, hosts(2, "a"), took_part=True)
    assert not moving.has_unknown_owners(plain, hosts(1, "a"), took_part=True)
    assert not moving.has_unknown_owners(plain, hosts(2, "a", earlier=(ONE,)), took_part=True)


def test_late_writers_may_reach_the_owners_of_lists_that_are_not_retired() -> None:
    assert [(span.shard, span.until_epoch) for span in moving.earlier_spans(TWO, MOVED)] == [("a", 1)]
    assert moving.earlier_spans(TWO, LEFT) == []
    assert [(span.shard, span.until_epoch) for span in moving.earlier_spans(FORTH_AND_BACK, MOVED)] == [("b", 2)]
