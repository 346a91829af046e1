"""What waits for one shard, what is kept to be sent to it again, and for how long; through the whole machine."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.machine_bench import Bench, group_owned_by, hosts, packed, sequences

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind, parse
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict


def ok(count: int = 1) -> list[bytes]:
    return [b"OK", *[b"1-1"] * count]


def test_a_batch_is_bounded_in_messages_and_in_bytes() -> None:
    bench = Bench()
    for _ in range(300):
        bench.send()
    bench.send(body=b"x" * 2_000_000)
    bench.send()
    bench.link_up()
    sizes = []
    while bench.calls("publish"):
        call = bench.call("publish")
        sizes.append(len(sequences(call)))
        bench.feed(events.Replied("0", call.purpose, ok(sizes[-1])))
    assert sizes == [256, 44, 1, 1]


def test_what_was_in_flight_when_the_link_broke_is_sent_again_under_the_same_numbers() -> None:
    bench = Bench()
    bench.link_up()
    ticket = bench.send()
    assert sequences(bench.call("publish")) == [1]
    bench.link_down()
    bench.send()
    bench.link_up()
    assert bench.answer_all_ok() == [1, 2]
    assert bench.verdict(ticket) is not None


def test_another_server_gets_what_was_acknowledged_again_before_anything_new() -> None:
    bench = Bench()
    bench.link_up(run_id="old")
    bench.send()
    bench.send()
    bench.answer_all_ok()
    bench.link_down()
    bench.send()
    bench.link_up(run_id="new")
    assert bench.answer_all_ok() == [1, 2, 3]


def test_the_same_server_gets_nothing_again_that_it_acknowledged() -> None:
    bench = Bench()
    bench.link_up()
    bench.send()
    bench.answer_all_ok()
    bench.link_down()
    bench.link_up()
    assert bench.answer_all_ok() == []


def test_acknowledged_messages_are_forgotten_by_contact_and_not_by_the_clock() -> None:
    bench = Bench(replay_seconds=20)
    bench.link_up(run_id="old")
    bench.send()
    bench.answer_all_ok()
    bench.tick(3600)  # no word from the server meanwhile
    bench.link_down()
    bench.link_up(run_id="new")
    assert bench.answer_all_ok() == [1]
    bench.tick(30)
    bench.answer("heartbeat", [0, b"", b"0", b"word"])
    bench.tick()
    bench.link_down()
    bench.link_up(run_id="newest")
    assert bench.answer_all_ok() == []


NO_REPLICAS = events.Refusal("NOREPLICAS", "NOREPLICAS Not enough good replicas to write.")


@pytest.mark.parametrize(
    "answer",
    [NO_REPLICAS, [b"OK", NO_REPLICAS], [b"OK", b"FULL"], [b"OK", 0], [b"OLD", 0]],
    ids=["refused", "refused one by one", "full", "had it already", "older"],
)
def test_a_server_that_stores_nothing_may_be_cut_off_from_its_replicas_and_is_no_contact(answer: object) -> None:
    bench = Bench(replay_seconds=20)
    bench.link_up(run_id="old")
    bench.send()
    bench.answer_all_ok()
    bench.answer("heartbeat", [0, b"", b"0", b"word"])
    for _ in range(40):
        bench.feed(events.Publish(9, names.queue("work"), Kind.QUEUED, "", b"", b"later", 1))
        bench.tick(1)
        while bench.calls("heartbeat"):
            bench.answer("heartbeat", NO_REPLICAS)
        while bench.calls("fence"):
            bench.answer("fence", [0, b"", b"word", b"0"])
        if bench.calls("publish"):
            bench.answer("publish", answer if isinstance(answer, events.Refusal) else one_for_each(bench, answer))
    bench.link_down()
    bench.link_up(run_id="new")
    bench.tick()
    assert bench.answer_all_ok()[0] == 1


def one_for_each(bench: Bench, answer: Any) -> Any:
    """The same answer for each message of the batch that waits."""
    count = next(len(sequences(call)) for call in bench.pending if call.script == "publish")
    return [b"OK", *answer[1:] * count] if answer[0] == b"OK" else answer


def test_what_is_kept_is_bounded_in_bytes() -> None:
    bench = Bench(replay_bytes=10_000)
    bench.link_up(run_id="old")
    for _ in range(20):
        bench.send(body=b"x" * 1000)
        bench.answer_all_ok()
        assert bench.machine.publishing.lanes["0"].retained_bytes <= 10_000, "with each message, not with time"
    assert sum(one.count for one in bench.of(actions.Dropped) if one.reason == "replay_bound") == 12
    bench.link_down()
    bench.link_up(run_id="new")
    assert len(bench.answer_all_ok()) == 8 + 1, "and one marker: what was let go may be lost"


def test_what_waits_for_a_shard_out_of_reach_is_bounded() -> None:
    bench = Bench(unsent_bytes=5000)
    tickets = [bench.send(body=b"x" * 1000) for _ in range(6)]
    refused = [ticket for ticket in tickets if bench.verdict(ticket)]
    assert refused == tickets[4:]


def refused_of_six(bench: Bench) -> int:
    return sum(bench.verdict(ticket) is not None for ticket in [bench.send(body=b"x" * 1000) for _ in range(6)])


def test_a_burst_to_a_server_that_takes_it_is_not_bounded() -> None:
    bench = Bench(unsent_bytes=5000)
    bench.link_up()
    for _ in range(3):
        bench.send()
        bench.tick()
        bench.answer("publish", ok())
    assert refused_of_six(bench) == 0


@pytest.mark.parametrize(
    "body_of_answer", [events.Refusal("BUSY", "BUSY a script runs"), [b"OK", events.Refusal("BUSY", "")]]
)
def test_what_waits_for_a_server_that_refuses_for_a_while_is_bounded(body_of_answer: object) -> None:
    bench = Bench(unsent_bytes=5000)
    bench.link_up()
    bench.send()
    bench.answer("publish", body_of_answer)
    assert refused_of_six(bench) > 0
    bench.tick(1)
    assert refused_of_six(bench) == 2, "also while a batch is tried again"
    while bench.calls("publish"):
        bench.answer_all_ok()
    assert refused_of_six(bench) == 0


def test_what_waits_for_a_server_that_does_not_answer_is_bounded() -> None:
    bench = Bench(unsent_bytes=5000)
    bench.link_up()
    bench.send()
    bench.tick(5)  # however long the loop was busy: an answer may have come, and is read before the next look
    assert refused_of_six(bench) == 0
    bench.tick()
    assert refused_of_six(bench) == 6


def test_what_waits_for_a_link_that_is_not_fenced_is_bounded() -> None:
    bench = Bench(unsent_bytes=5000)
    bench.feed(events.LinkUp("0", "run"))
    assert refused_of_six(bench) == 2


def test_what_waits_while_a_list_is_adopted_is_bounded() -> None:
    bench = Bench(hosts(1, "0"), unsent_bytes=5000)
    bench.link_up(epoch=1)
    bench.feed(events.Learned(hosts(2, "0", earlier=(hosts(1, "0"),))))
    assert refused_of_six(bench) == 2
    bench.answer("fence", [2, b"", b"word", b"0"])
    bench.answer_all_ok()
    assert refused_of_six(bench) == 0


def test_a_normal_channel_whose_shard_takes_no_more_is_left_out_and_counted() -> None:
    both = hosts(0, "0", "1")
    group, channel = group_owned_by("0", both), group_owned_by("1", both)
    bench = Bench(both, unsent_bytes=100)
    bench.link_up("0")
    ticket = bench.send(group)
    bench.answer("publish", [b"OK", [b"1-1", channel.encode()]], "0")
    assert bench.verdict(ticket) == actions.Settle(ticket, Verdict.DONE, "1")
    assert [one.reason for one in bench.of(actions.Dropped)] == ["queue_unreachable"]


def test_what_is_sent_again_carries_its_age() -> None:
    bench = Bench()
    bench.send()
    bench.tick(2.5)
    bench.link_up()
    assert [parse(raw).age_ms for raw in packed(bench.call("publish"))] == [2500]
