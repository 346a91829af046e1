from __future__ import annotations

from tests.support.machine_bench import Bench, entry, group_owned_by, hosts

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events

JOB = entry(5, 1, kind=Kind.QUEUED, body=b"job")


def test_a_waiting_receiver_subscribes_to_wake_ups_and_looks_at_once() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    assert bench.of(actions.Subscribe)[-1] == actions.Subscribe("0", ("q:work",))
    assert bench.call("pop").keys == ("p:q:work", "p:t:work:me")


def test_as_many_messages_are_taken_as_receivers_wait() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 3))
    assert bench.calls("pop") == 3
    bench.feed(events.Pushed("0", "q:work", b""))
    assert bench.calls("pop") == 3


def test_a_message_is_handed_over_with_what_is_left_of_its_life() -> None:
    bench = Bench(expiry_seconds=60)
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.answer("pop", [b"123", JOB, b"10000"])
    handed = bench.of(actions.HandOver)[0]
    assert (handed.channel, handed.body, handed.expires_at) == ("work", b"job", bench.now + 50)


def test_an_empty_queue_is_looked_at_again_when_woken_and_now_and_then() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.answer("pop", [])
    assert not bench.calls("pop")
    bench.feed(events.Pushed("0", "q:work", b""))
    bench.answer("pop", [])
    bench.tick(2)
    assert bench.calls("pop") == 1


def took(bench: Bench, *bodies: bytes) -> list[int]:
    """Let one receiver wait for each of these, and answer their calls; return the numbers of the messages."""
    bench.feed(events.Wanted("work", len(bodies)))
    for number, body in enumerate(bodies):
        bench.answer("pop", [b"1", entry(5, number, kind=Kind.QUEUED, body=body), b"0"])
    bench.feed(events.Wanted("work", 0))
    return [one.number for one in bench.of(actions.HandOver)][-len(bodies) :]


def test_what_nobody_wants_any_more_is_put_back_under_the_number_that_it_was_taken_by() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.feed(events.Unwanted(number))
    call = bench.call("put_back")
    assert (call.keys, call.arguments) == (("p:q:work", "p:t:work:me"), (60_000, "p:0:q:work", number))


def test_what_could_not_be_put_back_is_put_back_when_the_shard_is_back() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.feed(events.Unwanted(number))
    bench.link_down()
    bench.link_up(run_id="new")
    assert bench.call("put_back").arguments[2:] == (number,)


def test_what_nobody_wants_while_the_shard_is_away_is_put_back_when_it_is_back() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.link_down()
    bench.feed(events.Unwanted(number))
    bench.link_up(run_id="new")
    assert bench.call("put_back").arguments[2:] == (number,)


def test_a_shard_that_refuses_to_take_a_message_back_is_asked_again_until_it_has_expired() -> None:
    bench = Bench(expiry_seconds=60)
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.feed(events.Unwanted(number))
    bench.answer("put_back", events.Refusal("OOM", "OOM command not allowed"))
    assert not bench.calls("put_back")
    bench.tick()
    bench.answer("put_back", events.Refusal("OOM", "OOM command not allowed"))
    bench.tick(60)
    assert not bench.calls("put_back")
    assert [(one.reason, one.count) for one in bench.of(actions.Dropped)] == [("expired", 1)]


def test_receivers_that_are_cancelled_together_leave_the_order_as_it_was() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 3))
    bench.feed(events.Wanted("work", 0))
    for number in range(3):
        assert not bench.calls("put_back")
        bench.answer("pop", [b"1", entry(5, number, kind=Kind.QUEUED), b"0"])
        bench.feed(events.Unwanted(bench.of(actions.HandOver)[-1].number))
    assert bench.call("put_back").arguments[2:] == (3, 2, 1)


def test_who_comes_before_it_is_back_gets_what_was_returned_without_another_look() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.link_down()
    bench.feed(events.Unwanted(number))
    bench.feed(events.Wanted("work", 1))
    assert [(one.number, one.body) for one in bench.of(actions.HandOver)] == [(number, b"job")] * 2
    bench.link_up()
    assert not bench.calls("put_back")


def test_the_copy_of_a_message_that_nobody_has_yet_answers_to_no_other_call() -> None:
    bench = Bench()
    bench.link_up()
    held, consumed = took(bench, b"held", b"consumed")
    bench.feed(events.Consumed(consumed))
    bench.feed(events.Wanted("work", 1))
    call = bench.call("pop")
    assert call.arguments[1:] == (3, 1, 3, 1, held, consumed)


def test_what_may_be_back_already_goes_back_before_anything_is_taken_over_a_new_link() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.feed(events.Unwanted(number))
    bench.link_down()
    bench.feed(events.Wanted("work", 1))
    assert len(bench.of(actions.HandOver)) == 1
    bench.link_up(run_id="new")
    assert [call.script for call in bench.pending if call.script in ("pop", "put_back")] == ["put_back", "pop"]


def test_something_is_under_way_from_the_first_look_until_what_nobody_wants_is_back() -> None:
    bench = Bench()
    bench.link_up()
    assert not bench.machine.queues.under_way("0")
    bench.feed(events.Wanted("work", 1))
    bench.feed(events.Wanted("work", 0))
    assert bench.machine.queues.under_way("0")
    bench.answer("pop", [b"1", JOB, b"0"])
    bench.feed(events.Unwanted(bench.of(actions.HandOver)[-1].number))
    assert bench.machine.queues.under_way("0")
    assert not bench.machine.queues.under_way("1")
    bench.answer("put_back", 1)
    assert not bench.machine.queues.under_way("0")


def test_a_flush_leaves_nothing_to_put_back() -> None:
    bench = Bench()
    bench.link_up()
    (number,) = took(bench, b"job")
    bench.feed(events.Flushed())
    bench.feed(events.Unwanted(number))
    assert not bench.calls("put_back")


def test_what_a_dropped_mailbox_held_stands_in_nobodys_way() -> None:
    bench = Bench()
    bench.link_up()
    kept, returned = took(bench, b"kept", b"returned")
    bench.feed(events.Unwanted(returned))
    assert not bench.calls("put_back")
    bench.feed(events.Gone("work"))
    bench.tick()
    assert bench.call("put_back").arguments[2:] == (returned,)
    assert bench.machine.queues.taken.bodies() == [b"returned"]
    assert kept < returned


def test_a_new_link_looks_again() -> None:
    bench = Bench()
    bench.feed(events.Wanted("work", 1))
    bench.link_up()
    assert bench.calls("pop") == 1
    bench.link_down()
    bench.link_up()
    assert bench.calls("pop") == 1


def test_a_queue_that_nobody_waits_on_is_left_after_a_while() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.answer("pop", [])
    bench.feed(events.Wanted("work", 0))
    bench.tick(5)
    assert not bench.of(actions.Unsubscribe)
    bench.tick(6)
    assert bench.of(actions.Unsubscribe) == [actions.Unsubscribe("0", ("q:work",))]


def test_earlier_owners_are_asked_first_while_they_are_not_retired() -> None:
    new = hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    channel = group_owned_by("1", new)
    bench = Bench(new)
    bench.link_up("0", epoch=2)
    bench.link_up("1", epoch=2)
    bench.feed(events.Wanted(channel, 1))
    bench.answer("pop", [], "0")
    bench.answer("pop", [b"1", JOB, b"0"], "1")
    assert len(bench.of(actions.HandOver)) == 1


def test_an_earlier_owner_out_of_reach_is_passed_over() -> None:
    new = hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    channel = group_owned_by("1", new)
    bench = Bench(new)
    bench.link_up("1", epoch=2)
    bench.feed(events.Wanted(channel, 1))
    assert bench.call("pop").shard == "1"


def test_a_shard_that_goes_away_ends_only_the_looks_that_were_on_their_way_to_it() -> None:
    new = hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    channel = group_owned_by("1", new)
    bench = Bench(new)
    bench.link_up("0", epoch=2)
    bench.link_up("1", epoch=2)
    bench.feed(events.Wanted(channel, 1))
    bench.answer("pop", [], "0")
    bench.link_down("0")
    bench.answer("pop", [], "1")
    bench.feed(events.Pushed("1", names.queue(channel), b""))
    assert bench.calls("pop") == 1


def test_the_same_owner_in_every_list_is_asked_once() -> None:
    new = hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    channel = group_owned_by("0", new)
    assert Bench(new).machine.queues._owners(channel) == ("0",)
    assert names.queue(channel) == f"q:{channel}"


def test_a_queued_message_that_cannot_be_read_is_counted() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.answer("pop", [b"1", b"rubbish", b"0"])
    assert [one.reason for one in bench.of(actions.Dropped)] == ["malformed"]


def test_what_expired_in_a_queue_is_counted_with_and_without_a_message_behind_it() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 2))
    bench.answer("pop", [2])
    bench.answer("pop", [b"1", JOB, b"0", 3])
    assert [(one.reason, one.count) for one in bench.of(actions.Dropped)] == [("expired", 2), ("expired", 3)]
    assert [one.body for one in bench.of(actions.HandOver)] == [b"job"]


def test_a_message_that_has_arrived_is_said_to_the_shard_until_it_has_heard_it() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Consumed(*took(bench, b"job")))
    bench.feed(events.Wanted("work", 1))
    call = bench.call("pop")
    assert call.arguments[1:] == (2, 1, 2, 0, 1)
    bench.link_down()
    bench.link_up()
    assert bench.call("pop").arguments[1:] == (3, 1, 3, 0, 1)


def test_what_was_taken_for_a_call_that_was_cut_off_is_fetched_even_if_nobody_waits_any_more() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.link_down()
    bench.feed(events.Wanted("work", 0))
    bench.tick(11)
    bench.link_up()
    bench.tick(1)
    call = bench.call("pop")
    assert call.arguments[1:] == (2, 0, 2, 0)
    bench.feed(events.Replied("0", call.purpose, [b"1", JOB, b"0"]))
    assert [one.body for one in bench.of(actions.HandOver)] == [b"job"]
    bench.tick(11)
    assert bench.of(actions.Unsubscribe)


def test_all_that_was_taken_unheard_is_fetched_before_any_of_it_goes_back() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 2))
    bench.link_down()
    bench.feed(events.Wanted("work", 0))
    bench.link_up()
    bench.tick(1)
    for number in range(2):
        assert not bench.calls("put_back")
        bench.answer("pop", [b"1", entry(5, number, kind=Kind.QUEUED), b"0"])
        bench.feed(events.Unwanted(bench.of(actions.HandOver)[-1].number))
    assert not bench.calls("pop")
    assert bench.call("put_back").arguments[2:] == (4, 3)


def test_nothing_is_remembered_of_messages_that_arrived_long_ago() -> None:
    bench = Bench(expiry_seconds=60)
    bench.link_up()
    bench.feed(events.Consumed(*took(bench, b"job")))
    bench.tick(61)
    assert not bench.machine.queues.taken._arrived


def test_a_queue_is_looked_at_again_when_its_wake_ups_are_certain_to_come() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 1))
    bench.answer("pop", [])
    assert not bench.calls("pop")
    bench.feed(events.Subscribed("0", "q:work"))
    assert bench.calls("pop") == 1


def test_a_message_that_is_traced_says_how_long_it_was_in_its_queue() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Wanted("work", 2))
    bench.answer("pop", [b"123", entry(5, 1, kind=Kind.QUEUED, trace=b"traced", age_ms=5), b"1500"])
    bench.answer("pop", [b"123", entry(5, 2, kind=Kind.QUEUED), b"1500"])
    traced, plain = bench.of(actions.HandOver)
    assert traced.way == actions.Way(0.005, 1.5, 0.001, False)
    assert plain.way is None
