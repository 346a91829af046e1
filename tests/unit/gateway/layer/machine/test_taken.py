from __future__ import annotations

from realtime_gateway.layer.machine.taken import Place, PutBackCall, Taken, TakenMessage

HERE, THERE = Place("work", "0"), Place("work", "1")


def message(number: int, place: Place = HERE, expires_at: float = 100.0) -> TakenMessage:
    return TakenMessage(place, number, b"", b"%d" % number, expires_at)


def taken(*numbers: int) -> Taken:
    made = Taken(60)
    for number in numbers:
        made.take(message(number))
    return made


def numbers(call: PutBackCall | None) -> list[int]:
    return [] if call is None else [one.number for one in call.messages]


def put_back(of: Taken, place: Place = HERE, *, quiet: bool = True) -> PutBackCall:
    call = of.put_back(place, quiet=quiet)
    assert call is not None
    return call


def test_the_shard_is_told_what_a_receiver_has_and_not_what_is_still_here() -> None:
    of = taken(1, 2)
    of.consumed(2, 0)
    assert of.arrived(HERE) == (2,)
    assert of.numbers_here(HERE) == [1]
    of.told(HERE, (2,))
    assert of.arrived(HERE) == ()
    assert of.arrived(THERE) == ()


def test_what_is_returned_goes_back_together_with_the_newest_first_once_nothing_is_held_there() -> None:
    of = taken(1, 2, 3)
    of.unwanted(1)
    of.unwanted(3)
    assert of.put_back(HERE, quiet=True) is None
    of.consumed(2, 0)
    assert of.put_back(HERE, quiet=False) is None
    assert numbers(of.put_back(HERE, quiet=True)) == [3, 1]
    assert of.places_to_put_back() == [], "one call at a time"


def test_what_is_held_of_another_owner_keeps_nothing_from_going_back() -> None:
    of = taken(1)
    of.take(message(2, THERE))
    of.unwanted(1)
    assert of.places_to_put_back() == [HERE]
    assert numbers(of.put_back(HERE, quiet=True)) == [1]


def test_a_message_that_is_back_is_forgotten() -> None:
    of = taken(1)
    of.unwanted(1)
    of.answered(put_back(of), done=True)
    assert not of.places_to_put_back()
    assert of.numbers_here(HERE) == []
    assert of.arrived(HERE) == ()


def test_what_was_refused_or_cut_off_is_tried_again_without_waiting_for_quiet() -> None:
    of = taken(1)
    of.unwanted(1)
    of.answered(put_back(of), done=False)
    put_back(of, quiet=False)
    of.link_down("1")
    assert of.places_to_put_back() == []
    of.link_down("0")
    assert numbers(of.put_back(HERE, quiet=False)) == [1]


def test_the_answer_of_a_call_that_was_cut_off_means_nothing() -> None:
    of = taken(1)
    of.unwanted(1)
    late = put_back(of)
    of.link_down("0")
    of.answered(late, done=True)
    assert numbers(of.put_back(HERE, quiet=True)) == [1]


def test_a_receiver_that_comes_first_gets_the_oldest_of_what_was_returned() -> None:
    of = taken(1, 2)
    of.unwanted(2)
    of.unwanted(1)
    oldest = of.oldest_returned("work")
    assert oldest is not None
    assert of.hold_again(oldest).number == 1
    assert of.oldest_returned("mail") is None
    of.consumed(1, 0)
    assert of.arrived(HERE) == (1,)


def test_what_may_be_back_already_is_handed_to_nobody_here() -> None:
    of = taken(1)
    of.unwanted(1)
    put_back(of)
    assert of.oldest_returned("work") is None
    of.link_down("0")
    assert of.oldest_returned("work") is None


def test_what_comes_after_something_that_was_returned_waits_behind_it() -> None:
    of = taken(1)
    of.unwanted(1)
    assert of.take(message(2)).number == 1
    oldest = of.oldest_returned("work")
    assert oldest is not None
    assert oldest.number == 2


def test_what_has_expired_is_not_put_back_and_the_shard_may_forget_it() -> None:
    of = taken(1, 2)
    of.unwanted(1)
    assert of.expire(99) == 0
    assert of.expire(100) == 1, "the other one was in a mailbox, which counts it"
    assert of.bodies() == []
    assert sorted(of.arrived(HERE)) == [1, 2]
    of.expire(160)
    assert of.arrived(HERE) == (), "the shard has forgotten it, too"


def test_a_mailbox_that_is_dropped_takes_its_messages_with_it_and_no_other_ones() -> None:
    of = taken(1)
    of.take(message(2, Place("mail", "0")))
    of.gone("work", 0)
    assert of.bodies() == [b"2"]
    of.clear()
    assert of.bodies() == []
