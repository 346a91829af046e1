from __future__ import annotations

import json

import pytest
from tests.support.machine_bench import Bench, entry, packed, page

from realtime_gateway.layer.envelope import Kind, parse
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict
from realtime_gateway.layer.machine.passing import PASSING

THEIRS = "a.them!1"


def asked(bench: Bench) -> dict[str, object]:
    """Answer that the owner lives; return the request that goes to it."""
    bench.answer("lease", 1)
    call = bench.call("publish")
    request = parse(packed(call)[0])
    bench.feed(events.Replied("0", call.purpose, [b"OK", b"1-1"]))
    return {"kind": request.kind, "channel": request.channel, **json.loads(request.body)}


def inbox(bench: Bench, kind: int, channel: str = "", **body: object) -> None:
    raw = entry(9, 1, kind=kind, channel=channel, body=json.dumps(body).encode())
    bench.feed(events.Pushed("0", "i:me", b"9-1 0-0/0 " + raw))


def listening() -> Bench:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Listen())
    bench.feed(events.Subscribed("0", "i:me"))
    bench.answer("read", page())
    return bench


def test_another_processs_channel_joins_by_request_and_answer() -> None:
    bench = listening()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    request = asked(bench)
    assert request == {"kind": Kind.JOIN, "channel": THEIRS, "number": 1, "asker": "me", "group": "room"}
    assert bench.verdict(1) is None
    inbox(bench, Kind.ANSWER, number=1, asker="me", verdict="done")
    assert bench.verdict(1) == actions.Settle(1, Verdict.DONE, "", "")


def test_another_processs_channel_leaves_by_request_and_answer() -> None:
    bench = listening()
    bench.feed(events.Leave(1, "room", THEIRS, own=False))
    assert asked(bench)["kind"] == Kind.LEAVE
    inbox(bench, Kind.ANSWER, number=1, asker="me", verdict="done")
    assert bench.verdict(1) is not None


def test_an_owner_that_has_never_been_heard_of_is_given_a_moment_and_then_reported() -> None:
    bench = listening()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    bench.answer("lease", 0)
    assert bench.verdict(1) is None
    bench.tick(1)
    bench.answer("lease", 0)
    bench.tick(1.5)
    bench.answer("lease", 0)
    verdict = bench.verdict(1)
    assert verdict is not None
    assert verdict.verdict is Verdict.OWNER_GONE


def test_leaving_for_an_owner_that_is_gone_is_done() -> None:
    bench = listening()
    bench.feed(events.Leave(1, "room", THEIRS, own=False))
    bench.answer("lease", 0)
    assert bench.verdict(1) == actions.Settle(1, Verdict.DONE, "", "")


def test_an_owner_that_could_not_be_looked_for_is_not_called_gone() -> None:
    bench = Bench()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    bench.tick(11)
    verdict = bench.verdict(1)
    assert verdict is not None
    assert (verdict.verdict, verdict.shard) == (Verdict.UNAVAILABLE, "0")


def test_an_owner_that_does_not_answer_is_given_up_in_time() -> None:
    bench = listening()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    asked(bench)
    bench.tick(11)
    verdict = bench.verdict(1)
    assert verdict is not None
    assert verdict.verdict is Verdict.OWNER_GONE
    inbox(bench, Kind.ANSWER, number=1, asker="me", verdict="done")


def test_a_request_of_another_process_is_passed_on_and_answered() -> None:
    bench = listening()
    inbox(bench, Kind.JOIN, channel="a.me!1", number=4, asker="them", group="room")
    assert bench.of(actions.AnsweredRequest) == [actions.AnsweredRequest(True, "room", "a.me!1", "them", 4)]
    bench.feed(events.Answer("them", 4, done=False))
    call = bench.call("publish")
    answer = parse(packed(call)[0])
    assert call.keys[2] == "p:i:them"
    assert answer.kind == Kind.ANSWER
    assert json.loads(answer.body) == {"number": 4, "asker": "them", "verdict": "owner gone"}


def test_rubbish_in_the_inbox_is_counted() -> None:
    bench = listening()
    bench.feed(events.Pushed("0", "i:me", b"9-1 0-0/0 " + entry(9, 1, kind=Kind.JOIN, body=b"rubbish")))
    bench.feed(events.Pushed("0", "i:me", b"9-2 0-0/0 " + entry(9, 2, kind=Kind.ANSWER, body=b'{"number": null}')))
    assert [one.reason for one in bench.of(actions.Dropped)] == ["malformed", "malformed"]


def test_a_normal_channel_is_written_beside_the_group() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Join(1, "room", "work", own=False))
    call = bench.call("member")
    assert (call.keys[2], call.arguments[:3]) == ("p:group:room", (0, "add", "work"))
    bench.feed(events.Replied("0", call.purpose, [b"OK"]))
    assert bench.verdict(1) is not None
    bench.feed(events.Leave(2, "room", "work", own=False))
    assert bench.call("member").arguments[1] == "remove"


def test_a_change_that_was_under_way_when_the_link_broke_is_made_again() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Join(1, "room", "work", own=False))
    bench.link_down()
    bench.link_up()
    bench.answer("member", [b"OK"])
    assert bench.verdict(1) is not None


def test_a_change_without_a_server_fails_in_time() -> None:
    bench = Bench()
    bench.feed(events.Join(1, "room", "work", own=False))
    bench.tick(11)
    assert bench.verdict(1) == actions.Settle(1, Verdict.UNAVAILABLE, "0", "")


def test_a_change_that_a_shard_refuses_says_so() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Join(1, "room", "work", own=False))
    bench.answer("member", events.Refusal("OOM", "OOM no"))
    assert bench.verdict(1) == actions.Settle(1, Verdict.REFUSED, "0", "OOM no")


@pytest.mark.parametrize("code", sorted(PASSING))
def test_a_refusal_that_passes_by_itself_is_waited_out(code: str) -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Join(1, "room", "work", own=False))
    bench.answer("member", events.Refusal(code, f"{code} for now"))
    assert bench.verdict(1) is None
    bench.tick()
    bench.answer("member", [b"OK"])
    assert bench.verdict(1) == actions.Settle(1, Verdict.DONE, "", "")


def test_a_look_for_an_owner_that_a_shard_refuses_for_now_is_made_again() -> None:
    bench = listening()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    bench.answer("lease", events.Refusal("BUSY", "BUSY for now"))
    assert bench.verdict(1) is None
    bench.tick()
    assert asked(bench)["kind"] == Kind.JOIN


def test_a_look_for_an_owner_that_is_not_answered_is_the_shards_silence_and_is_not_made_again_later() -> None:
    bench = listening()
    bench.feed(events.Join(1, "room", THEIRS, own=False))
    bench.call("lease")
    bench.tick(11)
    verdict = bench.verdict(1)
    assert verdict is not None
    assert (verdict.verdict, verdict.shard) == (Verdict.UNAVAILABLE, "0")
    bench.link_down()
    bench.link_up()
    assert not bench.calls("lease")
