from __future__ import annotations

from math import inf

import pytest
from tests.support.machine_bench import Bench, entry, group_owned_by, hosts, page

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict

ROOM = names.group("room")
THEM, OTHER = 5, 6


def test_a_join_is_certain_once_the_subscription_is_confirmed_and_the_stream_has_been_looked_at() -> None:
    bench = Bench()
    bench.link_up()
    ticket = bench.join()
    assert bench.of(actions.Subscribe) == [actions.Subscribe("0", (ROOM,))]
    assert not bench.calls("join")
    bench.feed(events.Subscribed("0", ROOM))
    assert bench.verdict(ticket) is None
    bench.answer("join", [0, b"5-0", b"5"])
    assert bench.verdict(ticket) == actions.Settle(ticket, Verdict.DONE, "", "")


def test_a_second_member_needs_no_word_with_the_server() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    before = len(bench.pending)
    assert bench.verdict(bench.join(channel="a.me!2")) is not None
    assert len(bench.pending) == before


def test_a_member_that_misses_nothing_is_one_at_once_and_anybody_else_has_to_join() -> None:
    bench = Bench()
    bench.link_up()
    following = bench.machine.following
    assert not following.joined(ROOM, "a.me!2", bench.now)
    assert ROOM not in following.follows, "nothing is done"
    bench.join()
    assert not following.joined(ROOM, "a.me!2", bench.now), "its end is not known yet"
    bench.feed(events.Subscribed("0", ROOM))
    bench.answer("join", [0, b"5-0", b"5"])
    assert following.joined(ROOM, "a.me!2", bench.now)
    assert "a.me!2" in following.follows[ROOM].members
    assert following.groups_of("a.me!2") == [ROOM]
    bench.link_down()
    assert not following.joined(ROOM, "a.me!3", bench.now)


def test_what_was_pushed_before_the_join_is_not_delivered_and_what_came_after_is() -> None:
    bench = Bench()
    bench.link_up()
    bench.join()
    bench.feed(events.Subscribed("0", ROOM))
    bench.push(b"5-0", entry(THEM, 1))
    bench.push(b"5-1", entry(THEM, 2))
    bench.answer("join", [0, b"5-0", b"5"])
    bench.push(b"5-2", entry(THEM, 3))
    assert bench.bodies() == [b"2", b"3"]


def test_an_entry_is_delivered_once_however_often_it_comes() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    for stream_id, sequence in ((b"6-0", 1), (b"6-1", 2), (b"6-2", 1), (b"6-3", 2), (b"6-4", 3)):
        bench.push(stream_id, entry(THEM, sequence))
    assert bench.bodies() == [b"1", b"2", b"3"]
    assert len(bench.of(actions.Repeated)) == 2


def test_a_reader_that_was_away_reads_the_gap_from_its_position_before_anything_new() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", ROOM))
    bench.push(b"6-3", entry(THEM, 4))
    call = bench.call("read")
    assert call.arguments[0] == "(6-0"
    bench.feed(events.Replied("0", call.purpose, page((b"6-1", entry(THEM, 2)), (b"6-2", entry(THEM, 3)))))
    assert bench.bodies() == [b"1", b"2", b"3", b"4"]


def test_on_another_server_the_whole_stream_is_read_again() -> None:
    bench = Bench()
    bench.link_up(run_id="old")
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.link_down()
    bench.link_up(run_id="new")
    bench.feed(events.Subscribed("0", ROOM))
    call = bench.call("read")
    assert call.arguments[0] == "-"
    bench.feed(events.Replied("0", call.purpose, page((b"2-0", entry(THEM, 1)), (b"2-1", entry(THEM, 2)))))
    assert bench.bodies() == [b"1", b"2"]


def test_a_long_gap_is_read_page_by_page() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", ROOM))
    first = [(b"6-%d" % number, entry(THEM, number)) for number in range(1, 501)]
    bench.answer("read", page(*first, more=1))
    call = bench.call("read")
    assert call.arguments[0] == "(6-500"
    bench.feed(events.Replied("0", call.purpose, page((b"6-501", entry(THEM, 501)))))
    assert bench.bodies() == [b"%d" % number for number in range(1, 502)]


def test_a_predecessor_that_was_never_pushed_is_looked_for_in_the_stream() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.push(b"6-2", entry(THEM, 3, previous=2))
    assert bench.bodies() == [b"1"]
    bench.answer("read", page((b"6-1", entry(THEM, 2, previous=1)), (b"6-2", entry(THEM, 3, previous=2))))
    assert bench.bodies() == [b"1", b"2", b"3"]
    assert not bench.of(actions.Lost)


def test_a_predecessor_that_the_stream_does_not_have_is_reported_as_lost() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.push(b"6-2", entry(THEM, 3, previous=2))
    bench.answer("read", page((b"6-2", entry(THEM, 3, previous=2))))
    assert bench.bodies() == [b"1", b"3"]
    assert [one.destinations for one in bench.of(actions.Lost)] == [(ROOM,)]


def test_leaving_keeps_what_was_seen_against_repetition() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.feed(events.Leave(-1, "room", "a.me!1", own=True))
    assert bench.of(actions.Unsubscribe) == [actions.Unsubscribe("0", (ROOM,))]
    bench.join_live(last=b"6-0")
    bench.push(b"7-0", entry(THEM, 1, age_ms=10))
    bench.push(b"7-1", entry(THEM, 3, previous=2))
    assert bench.bodies() == [b"1", b"3"]
    assert not bench.of(actions.Lost)


def test_what_was_seen_is_forgotten_when_nothing_older_can_come_back() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(THEM, 1))
    bench.feed(events.Leave(-1, "room", "a.me!1", own=True))
    bench.tick()
    for _ in range(3):
        bench.tick(100)
    assert not len(bench.machine.following._memory)


def test_who_joined_after_a_message_was_sent_for_the_first_time_does_not_get_it() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.now += 10
    bench.join(channel="a.me!late")
    bench.push(b"10005-0", entry(THEM, 1, age_ms=5000))
    assert [list(one.channels) for one in bench.of(actions.Deliver)] == [["a.me!1"]]


def test_who_joined_while_a_message_was_on_its_way_does_not_get_it() -> None:
    bench = Bench()
    bench.link_up(server_ms=1_000)
    bench.join_live(server_ms=1_000)
    bench.now += 5
    bench.join(channel="a.me!late")
    bench.push(b"4000-0", entry(THEM, 1))
    bench.push(b"6000-0", entry(THEM, 2))
    assert [sorted(one.channels) for one in bench.of(actions.Deliver)] == [["a.me!1"], ["a.me!1", "a.me!late"]]


def test_a_heartbeat_tells_what_a_servers_clock_shows_now() -> None:
    bench = Bench()
    bench.link_up(server_ms=1_000)
    bench.join_live(server_ms=1_000)
    bench.now += 5
    # The clock was put back by two seconds.
    bench.answer("heartbeat", [0, b"", b"4000", b"word"])
    bench.join(channel="a.me!late")
    bench.push(b"4000-0", entry(THEM, 1))
    assert [sorted(one.channels) for one in bench.of(actions.Deliver)] == [["a.me!1", "a.me!late"]]


def test_a_confirmation_of_an_earlier_subscription_does_not_count_for_a_later_one() -> None:
    bench = Bench()
    bench.link_up()
    bench.join()
    bench.feed(events.Leave(-1, "room", "a.me!1", own=True))
    ticket = bench.join()
    bench.feed(events.Subscribed("0", ROOM))
    assert not bench.calls("join")
    bench.feed(events.Subscribed("0", ROOM))
    bench.answer("join", [0, b"5-0", b"5"])
    assert bench.verdict(ticket) is not None


def test_leaving_before_the_join_is_certain_ends_it() -> None:
    bench = Bench()
    bench.link_up()
    ticket = bench.join()
    bench.feed(events.Leave(-1, "room", "a.me!1", own=True))
    assert bench.verdict(ticket) is not None
    bench.feed(events.Subscribed("0", ROOM))
    assert not bench.calls("join")


def test_a_join_without_a_server_fails_in_time() -> None:
    bench = Bench(send_timeout_seconds=10)
    ticket = bench.join()
    bench.tick(9)
    assert bench.verdict(ticket) is None
    bench.tick(2)
    assert bench.verdict(ticket) == actions.Settle(ticket, Verdict.UNAVAILABLE, "0", "")
    assert not bench.machine.following.follows


def test_a_membership_ends_by_expiry_and_joining_again_renews_it() -> None:
    bench = Bench(group_expiry_seconds=100)
    bench.link_up()
    bench.join_live()
    bench.join(channel="a.me!2")
    bench.tick(60)
    bench.join(channel="a.me!1")
    bench.tick(60)
    assert list(bench.machine.following.follows[ROOM].members) == ["a.me!1"]


def test_the_inbox_is_read_from_its_very_beginning() -> None:
    bench = Bench()
    bench.feed(events.Listen())
    bench.link_up()
    bench.feed(events.Subscribed("0", "i:me"))
    call = bench.call("read")
    assert call.arguments[0] == "-"
    early = entry(THEM, 1, kind=Kind.CHANNEL, channel="a.me!1")
    bench.feed(events.Replied("0", call.purpose, page((b"1-0", early))))
    assert [one.channels for one in bench.of(actions.Deliver)] == [("a.me!1",)]


def test_what_is_held_is_bounded_and_read_from_the_stream_instead() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", ROOM))
    big = entry(THEM, 1, body=b"x" * 5_000_000)
    bench.push(b"6-0", big)
    bench.push(b"6-1", entry(THEM, 2, body=b"y" * 5_000_000))
    bench.answer("read", page())
    assert bench.bodies() == []
    bench.answer("read", page((b"6-0", big), (b"6-1", entry(THEM, 2))))
    assert [len(one) for one in bench.bodies()] == [5_000_000, 1]


def test_bytes_that_are_no_entry_are_counted_and_skipped() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", b"rubbish")
    bench.feed(events.Pushed("0", ROOM, b""))
    bench.push(b"6-1", entry(THEM, 1))
    assert bench.bodies() == [b"1"]
    assert [one.reason for one in bench.of(actions.Dropped)] == ["malformed", "malformed"]


def test_an_entry_of_a_newer_epoch_waits_for_the_newer_list() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.pending.clear()
    bench.push(b"6-0", entry(THEM, 1, epoch=1))
    assert bench.bodies() == []
    newer = hosts(1, "0").to_json().encode()
    bench.answer("heartbeat", [1, newer, b"0", b"word"])
    bench.answer("fence", [1, newer, b"word", b"0"])
    bench.answer("read", page((b"6-0", entry(THEM, 1, epoch=1))))
    assert bench.bodies() == [b"1"]


def test_a_pinned_process_takes_an_entry_of_a_newer_epoch_as_it_is_pushed() -> None:
    bench = Bench(follow_hosts=False)
    bench.link_up()
    bench.join_live()
    bench.pending.clear()
    bench.push(b"6-0", entry(THEM, 1, epoch=1))
    assert bench.bodies() == [b"1"]
    assert not bench.pending


def test_a_push_that_no_stream_has_is_looked_for_once_and_dropped() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"9-0", entry(THEM, 9), after=b"8-0")
    bench.answer("read", page(last=b"5-0"))
    assert bench.calls("read") == 0
    assert [one.reason for one in bench.of(actions.Dropped)] == ["malformed"]
    # What comes by and by is taken as before, the same id with something behind it as well.
    bench.push(b"6-0", entry(THEM, 1))
    bench.push(b"9-0", entry(THEM, 2))
    assert bench.bodies() == [b"1", b"2"]
    bench.push(b"20-0", entry(THEM, 3), after=b"11-0")
    bench.answer("read", page((b"11-0", entry(OTHER, 7)), (b"20-0", entry(THEM, 3)), after=b"9-0"))
    assert bench.bodies() == [b"1", b"2", b"7", b"3"]


def test_a_group_that_moves_is_read_to_its_end_on_the_old_owner_first() -> None:
    one, two = hosts(1, "0"), hosts(2, "0", "1", earlier=(hosts(1, "0"),))
    group = group_owned_by("1", two)
    bench = Bench(one)
    bench.link_up(epoch=1)
    bench.join_live(group)
    bench.push(b"6-0", entry(THEM, 1, epoch=1), group)
    bench.feed(events.Learned(two))
    bench.feed(events.LinkUp("1", "other"))
    while bench.calls("fence"):
        bench.answer("fence", [2, b"", b"word", b"0"])
    assert not [one for one in bench.of(actions.Subscribe) if one.shard == "1"]
    bench.answer("read", page((b"6-1", entry(THEM, 2, epoch=1))), "0")
    assert bench.of(actions.Unsubscribe) == [actions.Unsubscribe("0", (names.group(group),))]
    bench.feed(events.Subscribed("1", names.group(group)))
    bench.push(b"3-1", entry(THEM, 4, epoch=2), group, "1")
    bench.answer("read", page((b"3-0", entry(THEM, 3, epoch=2))), "1")
    assert bench.bodies() == [b"1", b"2", b"3", b"4"]


def test_a_delivery_says_when_it_was_sent_by_the_clock_of_the_shard_half_way_through_the_round_trip() -> None:
    bench = Bench()
    bench.link_up(server_ms=0)
    bench.join_live()
    heartbeat = bench.call("heartbeat")
    bench.now += 0.02
    # It was 70.00 s ten milliseconds ago.
    bench.feed(events.Replied("0", heartbeat.purpose, [0, b"", b"70000", b"word"]))
    bench.now += 60
    bench.push(b"130000-0", entry(THEM, 1, age_ms=300))
    [delivered] = bench.of(actions.Deliver)
    assert bench.now - delivered.published_at == pytest.approx(0.3 + 0.01)
    assert bench.now - delivered.sent_at == pytest.approx(0.3)


def test_what_is_read_from_a_stream_is_counted_as_replayed() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", ROOM))
    bench.answer("read", page((b"6-1", entry(THEM, 1)), (b"6-2", entry(THEM, 2))))
    bench.push(b"6-3", entry(THEM, 3))
    assert [one.count for one in bench.of(actions.Replayed)] == [2]


def test_what_is_traced_says_how_it_came_and_whether_it_came_before() -> None:
    bench = Bench()
    bench.link_up(server_ms=0)
    bench.join_live(server_ms=5)
    bench.now += 1
    bench.push(b"505-0", entry(THEM, 1, trace=b"traced", age_ms=250))
    bench.push(b"505-1", entry(THEM, 1, trace=b"traced"))
    bench.push(b"505-2", entry(THEM, 2))
    bench.push(b"505-3", entry(THEM, 2))
    traced, plain = bench.of(actions.Deliver)
    assert plain.way is None
    assert traced.way is not None
    assert tuple(traced.way) == pytest.approx((0.25, 0.5, inf, False))
    again, again_plain = bench.of(actions.Repeated)
    assert again_plain.traced is None
    assert again.traced is not None
    assert (again.traced.trace, again.traced.destination, again.traced.way) == (
        b"traced",
        ROOM,
        traced.way._replace(sender_seconds=0),
    )


def test_what_is_read_from_a_gap_is_replayed() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", ROOM))
    bench.answer("read", page((b"6-0", entry(THEM, 1, trace=b"traced")), after=b"5-0"))
    (delivered,) = bench.of(actions.Deliver)
    assert delivered.way is not None
    assert delivered.way.replayed
