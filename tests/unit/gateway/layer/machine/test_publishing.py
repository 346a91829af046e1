"""What is sent: numbered, chained and told of; ``test_lane`` has what waits, and what is kept to be sent again."""

from __future__ import annotations

import pytest
from tests.support.machine_bench import Bench, group_owned_by, hosts, packed, sequences

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind, parse
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict


def ok(count: int = 1) -> list[bytes]:
    return [b"OK", *[b"1-1"] * count]


def test_nothing_is_written_before_the_link_has_answered_with_its_epoch() -> None:
    bench = Bench()
    bench.send()
    bench.feed(events.LinkUp("0", "run"))
    assert not bench.calls("publish")
    bench.answer("fence", [0, b"", b"word", b"0"])
    assert bench.calls("publish") == 1


def test_what_is_sent_in_one_turn_goes_out_as_one_batch() -> None:
    bench = Bench()
    bench.link_up()
    for number in range(5):
        bench.feed(events.Publish(number, names.group("room"), Kind.GROUP, "", b"", b"x"))
    assert not bench.calls("publish")
    bench.feed(events.TurnEnded())
    assert sequences(bench.call("publish")) == [1, 2, 3, 4, 5]


def test_one_batch_at_a_time_goes_to_a_shard() -> None:
    bench = Bench()
    bench.link_up()
    first = bench.send()
    second = bench.send()
    assert bench.calls("publish") == 1
    bench.answer("publish", ok())
    assert bench.verdict(first) is not None
    assert bench.verdict(second) is None
    bench.answer("publish", ok())
    assert bench.verdict(second) == actions.Settle(second, Verdict.DONE, "0", "")


def with_a_loss() -> Bench:
    """A sender that could not confirm a message for longer than its readers could have found it."""
    bench = Bench(history_seconds=60)
    bench.link_up(run_id="old")
    bench.send()
    bench.answer_all_ok()
    bench.link_down()
    bench.feed(events.LinkUp("0", "new"))
    bench.answer("fence", [0, b"", b"word", b"0"])
    bench.answer("publish", events.Refusal("OOM", "OOM no memory"))
    bench.now += 61
    bench.link_down()
    bench.tick()
    return bench


def kinds(bench: Bench) -> list[int]:
    """What the batch that waits is made of."""
    return [parse(bytes(raw)).kind for raw in packed(bench.call("publish"))]


@pytest.mark.parametrize("code", ["OOM", "NOPERM", "MISCONF", "NOREPLICAS"])
def test_a_loss_is_told_as_soon_as_a_shard_that_refuses_takes_it(code: str) -> None:
    bench = with_a_loss()
    bench.link_up(run_id="newer")
    bench.answer("publish", [b"OK", events.Refusal(code, f"{code} no")])
    bench.tick()
    assert kinds(bench) == [Kind.LOSS]


def test_a_loss_is_told_by_the_next_link_when_a_shard_did_not_let_us_in() -> None:
    bench = with_a_loss()
    bench.feed(events.LinkRefused("0", "NOAUTH"))
    bench.link_up(run_id="newer")
    assert kinds(bench) == [Kind.LOSS]


def test_a_loss_that_nobody_can_read_of_is_given_up_and_does_not_stand_in_the_way_of_the_next() -> None:
    bench = with_a_loss()
    for _ in range(2):
        bench.link_up(run_id="newer")
        bench.answer("publish", [b"OK", events.Refusal("WRONGTYPE", "WRONGTYPE no")])
        bench.tick()
        assert not bench.calls("publish")
        bench.machine.publishing._mark_loss(names.group("room"), bench.now)
        bench.link_down()


def test_a_loss_is_no_message_for_the_normal_channels_of_a_group() -> None:
    bench = with_a_loss()
    bench.link_up(run_id="newer")
    bench.answer("publish", [b"OK", [b"1-1", b"receipts"]])
    bench.tick()
    assert not bench.calls("publish")


def test_a_sender_is_told_when_its_time_is_up_and_the_message_is_not_sent_later() -> None:
    bench = Bench(send_timeout_seconds=10)
    bench.feed(events.LinkDown("0", "refused"))
    late = bench.send()
    bench.tick(9)
    assert bench.verdict(late) is None
    intime = bench.send()
    bench.tick(1.5)
    assert bench.verdict(late) == actions.Settle(late, Verdict.UNAVAILABLE, "0", "refused")
    bench.link_up()
    assert bench.answer_all_ok() == [2]
    assert bench.verdict(intime) is not None


def test_a_shard_that_does_not_let_us_in_fails_its_senders_at_once() -> None:
    bench = Bench()
    ticket = bench.send()
    bench.feed(events.LinkRefused("0", "NOAUTH"))
    assert bench.verdict(ticket) == actions.Settle(ticket, Verdict.REFUSED, "0", "NOAUTH")


@pytest.mark.parametrize("code", ["OOM", "WRONGTYPE", "NOPERM"])
def test_an_error_for_good_reaches_the_sender_with_its_words(code: str) -> None:
    bench = Bench()
    bench.link_up()
    ticket = bench.send()
    bench.answer("publish", events.Refusal(code, f"{code} no"))
    assert bench.verdict(ticket) == actions.Settle(ticket, Verdict.REFUSED, "0", f"{code} no")


@pytest.mark.parametrize("code", ["LOADING", "BUSY", "MASTERDOWN", "READONLY"])
def test_an_error_that_passes_is_waited_out(code: str) -> None:
    bench = Bench()
    bench.link_up()
    ticket = bench.send()
    bench.answer("publish", events.Refusal(code, f"{code} later"))
    assert bench.verdict(ticket) is None
    assert bool(bench.of(actions.Redial)) == (code == "READONLY")
    bench.tick()
    assert bench.answer_all_ok() == [1]
    assert bench.verdict(ticket) is not None


def test_an_epoch_that_no_message_has_room_for_fails_those_who_wait_and_nobody_else() -> None:
    bench = Bench(follow_hosts=False)  # whoever is pinned writes in the epoch that he finds
    first = bench.send()
    bench.link_up(epoch=2**32)
    second = bench.send()
    for ticket in (first, second):
        settled = bench.verdict(ticket)
        assert settled is not None
        assert settled.verdict is Verdict.REFUSED
        assert "an entry of epoch 4294967296" in settled.detail
    assert not bench.calls("publish")
    bench.link_down()
    bench.link_up(epoch=2**32 - 1)
    third = bench.send()
    assert bench.answer_all_ok() == [3]
    assert bench.verdict(third) == actions.Settle(third, Verdict.DONE, "0", "")


def test_what_was_acknowledged_outlasts_an_epoch_that_it_cannot_be_written_in() -> None:
    bench = Bench(follow_hosts=False)
    bench.link_up(run_id="old")
    bench.send()
    bench.answer_all_ok()
    bench.link_down()
    bench.link_up(run_id="new", epoch=2**32)
    bench.tick()
    assert not bench.calls("publish")
    bench.link_down()
    bench.link_up(run_id="newer")
    assert bench.answer_all_ok() == [1]


def test_the_senders_chain_names_the_message_before_to_the_same_group() -> None:
    bench = Bench()
    bench.link_up()
    previous = []
    for group in ("a", "b", "a", "b", "a"):
        bench.send(group)
        previous += [parse(raw).previous for raw in packed(bench.pending[-1])]
        bench.answer_all_ok()
    assert previous == [0, 0, 1, 2, 3]


def test_the_senders_chain_leaves_out_what_was_refused() -> None:
    bench = Bench()
    bench.link_up()
    for answer in (b"1-1", events.Refusal("OOM", "OOM command not allowed"), b"2-1"):
        bench.send()
        call = bench.call("publish")
        bench.feed(events.Replied("0", call.purpose, [b"OK", answer]))
    assert (sequences(call), [parse(bytes(raw)).previous for raw in packed(call)]) == ([3], [1])


def test_a_group_message_waits_for_the_queues_of_its_normal_channels() -> None:
    both = hosts(0, "0", "1")
    group = group_owned_by("0", both)
    channel = group_owned_by("1", both)
    bench = Bench(both)
    bench.link_up("0")
    bench.link_up("1")
    ticket = bench.send(group)
    bench.answer("publish", [b"OK", [b"1-1", channel.encode()]], "0")
    assert bench.verdict(ticket) is None
    call = bench.call("publish", "1")
    assert sequences(call) == [1]
    assert call.keys[2:] == [f"p:q:{channel}", f"p:s:{channel}:{77:x}:{group}", "p:dataset"]
    bench.feed(events.Replied("1", call.purpose, [b"OK", b"FULL"]))
    assert bench.verdict(ticket) is not None
    assert bench.verdict(ticket).verdict is Verdict.DONE  # type: ignore[union-attr]  # just checked
    assert [one.reason for one in bench.of(actions.Dropped)] == ["queue_full"]


@pytest.mark.parametrize("group", ["room", "-", ".", "_"])
def test_what_a_queue_gets_through_a_group_is_marked_apart_from_what_it_gets_directly(group: str) -> None:
    bench = Bench()
    bench.link_up()
    bench.send(group)
    bench.answer("publish", [b"OK", [b"1-1", b"work"]])
    through_group = bench.call("publish").keys[3]
    bench = Bench()
    bench.link_up()
    bench.feed(events.Publish(1, names.queue("work"), Kind.QUEUED, "", b"", b"x", 100))
    bench.feed(events.TurnEnded())
    assert bench.call("publish").keys[3] != through_group


def test_an_older_shard_is_fenced_before_the_batch_is_tried_again() -> None:
    bench = Bench(hosts(3, "0"))
    bench.link_up(epoch=3)
    bench.send()
    bench.answer("publish", [b"OLD", 2])
    assert not bench.calls("publish")
    fence = bench.call("fence")
    assert fence.arguments[0] == 3
    bench.feed(events.Replied("0", fence.purpose, [3, b"", b"word", b"0"]))
    assert bench.answer_all_ok() == [1]


def test_a_group_that_moves_takes_its_messages_with_it() -> None:
    one, two = hosts(1, "0"), hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    group = group_owned_by("1", two)
    bench = Bench(one)
    bench.link_up(epoch=1)
    bench.send(group)
    bench.answer_all_ok()
    waiting = bench.send(group)
    bench.answer("publish", [b"NEW", 2, two.to_json().encode()])
    bench.feed(events.LinkUp("1", "other"))
    while bench.calls("fence"):
        bench.answer("fence", [2, b"", b"word", b"0"])
    call = bench.call("publish")
    assert (call.shard, sequences(call)) == ("1", [1, 2])
    bench.feed(events.Replied("1", call.purpose, ok(2)))
    assert bench.verdict(waiting) is not None


def test_what_was_acknowledged_once_is_not_given_up_for_an_error_of_the_next_server() -> None:
    bench = Bench()
    bench.link_up()
    bench.send()
    bench.answer("publish", ok())
    bench.link_down()
    bench.link_up(run_id="another")
    bench.answer("publish", [b"OK", events.Refusal("OOM", "OOM no memory")])
    bench.tick()
    assert sequences(bench.call("publish")) == [1]


def test_what_a_shard_acknowledged_that_a_newer_list_brought_in_is_sent_again_to_its_next_server() -> None:
    one, two = hosts(1, "0"), hosts(2, "1", earlier=(hosts(1, "0"),))
    bench = Bench(one)
    bench.link_up("0", epoch=1)
    bench.feed(events.Learned(two, "a file"))
    bench.link_up("1", "first", epoch=2)
    bench.answer("fence", [2, b"", b"word", b"0"], "0")
    bench.send()
    assert bench.answer_all_ok() == [1]
    bench.link_down("1")
    bench.link_up("1", "second", epoch=2)
    assert bench.answer_all_ok() == [1]


def test_what_was_acknowledged_once_is_not_refused_by_a_full_mailbox_when_it_is_sent_again() -> None:
    bench = Bench()
    bench.link_up(run_id="old")
    bench.feed(events.Publish(1, names.inbox("them"), Kind.CHANNEL, "a.them!1", b"", b"x"))
    bench.feed(events.TurnEnded())
    call = bench.call("publish")
    assert call.keys[3] == "p:full:a.them!1"
    bench.feed(events.Replied("0", call.purpose, ok()))
    bench.link_down()
    bench.link_up(run_id="new")
    call = bench.call("publish")
    assert (sequences(call), call.keys[3]) == ([1], "p:full:")


def test_a_message_names_none_as_the_one_before_it_that_was_given_up_between_two_tries() -> None:
    bench = Bench(send_timeout_seconds=5)
    bench.link_up()
    given_up = bench.send()
    refused = events.Refusal("NOREPLICAS", "NOREPLICAS Not enough good replicas to write.")
    bench.now += 4
    bench.answer("publish", refused)
    bench.send()
    bench.tick()
    bench.answer("publish", [b"OK", refused, refused])
    bench.tick(2)
    verdict = bench.verdict(given_up)
    assert verdict is not None
    assert verdict.verdict is Verdict.UNAVAILABLE
    bench.tick()
    call = bench.call("publish")
    assert (sequences(call), [parse(bytes(raw)).previous for raw in packed(call)]) == ([2], [0])


def test_what_is_acknowledged_is_counted_as_new_once_and_as_sent_again_after_that() -> None:
    bench = Bench()
    bench.link_up(run_id="old")
    bench.send()
    bench.now += 0.5
    bench.answer_all_ok()
    bench.link_down()
    bench.link_up(run_id="new")
    bench.answer_all_ok()
    first, again = bench.of(actions.Acknowledged)
    assert [(one.kind, bench.now - one.first_at) for one in first.first] == [(Kind.GROUP, 0.5)]
    assert first.again == 0
    assert (again.first, again.again) == ([], 1)


def test_what_is_traced_is_settled_with_the_call_that_has_stored_it() -> None:
    bench = Bench()
    bench.link_up()
    first, second = bench.now + 1, bench.now + 3
    for ticket, trace in ((1, b"traced"), (2, b"")):
        bench.feed(events.Publish(ticket, names.group("room"), Kind.GROUP, "", trace, b"x"))
    bench.now = first
    bench.feed(events.TurnEnded())
    bench.link_down()
    bench.link_up()
    bench.now = second
    bench.answer_all_ok()
    traced, plain = bench.verdict(1), bench.verdict(2)
    assert traced is not None
    assert plain is not None
    assert traced.round_trip == actions.RoundTrip(sent_at=first, answered_at=second, messages=2, tries=2)
    assert plain.round_trip is None
