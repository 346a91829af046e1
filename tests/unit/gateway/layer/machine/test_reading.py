"""What a move, another server and a long absence mean for a reader; ``test_following`` has the everyday."""

from __future__ import annotations

from tests.support.machine_bench import Bench, entry, group_owned_by, hosts, page

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict

THEM = 5
ONE = hosts(1, "0")
TWO = hosts(2, "0", "1", earlier=(ONE,))
BACK = hosts(3, "0", earlier=(hosts(2, "0", "1"), ONE))
ROOM = group_owned_by("1", TWO)


def fence_all(bench: Bench, epoch: int) -> None:
    while bench.calls("fence"):
        bench.answer("fence", [epoch, b"", b"word", b"0"])


def in_a_room(start: HostList = ONE) -> Bench:
    """A member of a room that has got one message, stored as 6-0."""
    bench = Bench(start)
    bench.link_up(epoch=start.epoch)
    bench.join_live(ROOM)
    bench.push(b"6-0", entry(THEM, 1, epoch=start.epoch), ROOM)
    return bench


def move(bench: Bench, hosts_now: HostList = TWO) -> None:
    bench.feed(events.Learned(hosts_now))
    bench.feed(events.LinkUp("1", "other"))
    fence_all(bench, hosts_now.epoch)


def lost(bench: Bench) -> int:
    return len(bench.of(actions.Lost))


def test_the_old_owner_is_read_only_once_it_is_fenced_above_the_span() -> None:
    bench = in_a_room()
    bench.link_down("0")
    move(bench)
    assert not bench.calls("read")
    bench.feed(events.LinkUp("0", "run"))
    assert not bench.calls("read")
    fence_all(bench, 2)
    assert bench.call("read", "0").arguments[0] == "(6-0"


def test_the_new_owner_is_not_read_before_the_old_one_has_been() -> None:
    bench = in_a_room()
    bench.link_down("0")
    move(bench)
    assert not [one for one in bench.of(actions.Subscribe) if one.shard == "1"]
    bench.link_up("0", epoch=2)
    bench.answer("read", page((b"6-1", entry(THEM, 2, epoch=1)), after=b"6-0"), "0")
    bench.feed(events.Subscribed("1", names.group(ROOM)))
    bench.answer("read", page((b"1-0", entry(THEM, 3, epoch=2))), "1")
    assert bench.bodies() == [b"1", b"2", b"3"]
    assert not lost(bench)


def test_a_room_that_went_and_came_back_is_read_on_each_owner_in_turn() -> None:
    bench = in_a_room()
    move(bench, BACK)
    group = names.group(ROOM)
    first = page(
        (b"6-1", entry(THEM, 2, epoch=1)), (b"9-0", entry(THEM, 4, epoch=3)), after=b"6-0",
    )  # fmt: skip
    bench.answer("read", first, "0")
    assert bench.bodies() == [b"1", b"2"], "what is of the third epoch comes after the second owner's"
    bench.answer("read", page((b"3-0", entry(THEM, 3, epoch=2))), "1")
    bench.feed(events.Subscribed("0", group))
    assert bench.call("read", "0").arguments[0] == "-"
    bench.feed(events.Pushed("0", group, b"9-1 9-0/3 " + entry(THEM, 5, epoch=3)))
    assert bench.bodies() == [b"1", b"2", b"3"]


def test_an_old_owner_that_is_another_server_now_is_read_again_for_what_a_late_writer_left() -> None:
    bench = in_a_room()
    move(bench)
    bench.answer("read", page(last=b"6-0"), "0")
    bench.feed(events.Subscribed("1", names.group(ROOM)))
    bench.answer("read", page(), "1")
    bench.link_down("0")
    bench.link_up("0", run_id="a stale replica", epoch=2)
    call = bench.call("read", "0")
    assert call.arguments[0] == "-"
    rows = page((b"6-0", entry(THEM, 1, epoch=1)), (b"6-1", entry(THEM, 2, epoch=1)))
    bench.feed(events.Replied("0", call.purpose, rows))
    assert bench.bodies() == [b"1", b"2"]
    assert not lost(bench)


def test_who_joins_while_an_earlier_owner_is_out_of_reach_reads_it_later_from_the_moment_of_joining() -> None:
    bench = Bench(TWO)
    bench.link_up("1", epoch=2)
    bench.join_live(ROOM, shard="1")
    bench.now += 10
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [2, b"", b"word", b"100000"], "0")
    rows = page(
        (b"88000-0", entry(THEM, 1, epoch=1)), (b"95000-0", entry(THEM, 2, epoch=1)), after=b"5-0", server_ms=b"100000",
        epoch=1,
    )  # fmt: skip
    bench.answer("read", rows, "0")
    assert bench.bodies() == [b"2"], "the first was sent two seconds before the join"
    assert not lost(bench), "what was trimmed before the join is no loss"


def test_what_an_earlier_owner_has_from_before_the_join_proves_no_gap_after_it() -> None:
    bench = Bench(TWO)
    bench.link_up("1", epoch=2)
    bench.join_live(ROOM, shard="1", last=b"99000-0")
    bench.now += 10
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [2, b"", b"word", b"100000"], "0")
    bench.answer("read", page((b"88000-0", entry(THEM, 1, epoch=1)), server_ms=b"100000", epoch=1), "0")
    # Its second message came to the present owner, before the join.
    pushed = b"100000-0 99000-0/2 " + entry(THEM, 3, epoch=2, previous=2)
    bench.feed(events.Pushed("1", names.group(ROOM), pushed))
    assert bench.bodies() == [b"3"]
    assert not lost(bench)


def test_an_old_owner_that_stays_out_of_reach_is_given_up_and_said() -> None:
    bench = in_a_room()
    bench.link_down("0")
    move(bench)
    for _ in range(5):
        bench.tick(10)
    assert not lost(bench)
    bench.tick(20)
    assert lost(bench) == 1
    bench.feed(events.Subscribed("1", names.group(ROOM)))
    bench.answer("read", page((b"1-0", entry(THEM, 3, epoch=2))), "1")
    assert bench.bodies() == [b"1", b"3"]


def test_a_link_is_kept_to_an_old_owner_that_no_list_names_until_it_has_been_read() -> None:
    bench = in_a_room()
    move(bench, hosts(2, "1"))
    assert [shard.name for shard in bench.of(actions.UseShards)[-1].hosts.shards] == ["1", "0"]
    bench.answer("read", page(last=b"6-0"), "0")
    bench.tick()
    assert [shard.name for shard in bench.of(actions.UseShards)[-1].hosts.shards] == ["1"]


def test_an_epoch_is_reported_when_every_move_to_it_is_finished() -> None:
    bench = in_a_room()
    move(bench)
    bench.tick()
    assert bench.machine.reported_epoch == 1
    bench.answer("read", page(last=b"6-0"), "0")
    bench.feed(events.Subscribed("1", names.group(ROOM)))
    bench.tick()
    assert bench.machine.reported_epoch == 1
    bench.answer("read", page(), "1")
    bench.tick()
    assert bench.machine.reported_epoch == 2


def test_a_member_of_a_room_on_the_move_may_be_joined_by_another_at_once() -> None:
    bench = in_a_room()
    bench.link_down("0")
    move(bench)
    assert bench.verdict(bench.join(ROOM, "a.me!2")) is not None


def test_lists_that_were_retired_before_they_were_seen_are_a_loss() -> None:
    bench = in_a_room()
    move(bench, hosts(4, "0", "1"))
    assert lost(bench) == 1


def test_entries_that_were_trimmed_while_the_reader_was_away_are_a_loss() -> None:
    bench = in_a_room()
    bench.link_down("0")
    bench.link_up("0", epoch=1)
    bench.feed(events.Subscribed("0", names.group(ROOM)))
    bench.answer("read", page((b"6-9", entry(9, 1, epoch=1)), after=b"6-8"))
    assert lost(bench) == 1
    assert bench.bodies() == [b"1", b"1"]


def test_an_absence_that_was_longer_than_the_history_is_a_loss_unless_the_stream_shows_otherwise() -> None:
    for answer, losses in ((page(last=b"6-0"), 0), (page(last=b"0-0"), 1)):
        bench = in_a_room()
        bench.link_down("0")
        bench.now += 61
        bench.link_up("0", epoch=1)
        bench.feed(events.Subscribed("0", names.group(ROOM)))
        bench.answer("read", answer)
        assert lost(bench) == losses


def test_entries_that_go_on_from_one_another_say_nothing_of_what_was_before_the_first_of_them() -> None:
    bench = in_a_room()
    bench.link_down("0")
    bench.now += 61
    bench.link_up("0", "another", epoch=1)
    bench.feed(events.Subscribed("0", names.group(ROOM)))
    bench.answer("read", page((b"70-0", entry(9, 1, epoch=1)), (b"71-0", entry(9, 2, epoch=1))))
    assert lost(bench) == 1


def test_a_server_that_lost_its_data_is_a_loss_only_if_senders_no_longer_keep_theirs() -> None:
    for seconds, losses in ((5, 0), (25, 1)):
        bench = in_a_room()
        bench.link_down("0")
        bench.now += seconds
        bench.feed(events.LinkUp("0", "run again"))
        bench.answer("fence", [1, b"", b"another word", b"0"])
        bench.feed(events.Subscribed("0", names.group(ROOM)))
        bench.answer("read", page((b"7-0", entry(THEM, 1, epoch=1)), (b"7-1", entry(THEM, 2, epoch=1))))
        assert (bench.bodies(), lost(bench)) == ([b"1", b"2"], losses)


def test_a_senders_marker_says_that_it_could_not_confirm_something() -> None:
    bench = in_a_room()
    bench.push(b"6-1", entry(THEM, 2, kind=Kind.LOSS, epoch=1, body=b""), ROOM)
    assert bench.bodies() == [b"1"]
    assert lost(bench) == 1


def test_a_loss_without_an_interruption_is_told_as_a_return_with_the_next_tick() -> None:
    bench = in_a_room()
    bench.push(b"6-1", entry(THEM, 2, kind=Kind.LOSS, epoch=1, body=b""), ROOM)
    group = names.group(ROOM)
    assert not bench.of(actions.Reconnected)
    bench.tick()
    assert bench.of(actions.Reconnected) == [actions.Reconnected("0", (group,), (group,))]


def test_what_is_too_old_to_be_remembered_is_not_delivered_by_reading_a_stream_from_its_beginning() -> None:
    bench = Bench(ONE)
    bench.link_up(epoch=1, server_ms=500_000)
    bench.join_live(ROOM, last=b"100-0", server_ms=500_000)
    bench.push(b"500000-0", entry(THEM, 1, epoch=1), ROOM)
    bench.link_down("0")
    bench.link_up("0", "another", epoch=1, server_ms=500_000)
    bench.feed(events.Subscribed("0", names.group(ROOM)))
    ancient, recent = entry(9, 1, epoch=1, body=b"ancient"), entry(9, 2, epoch=1)
    rows = page((b"100000-0", ancient), (b"500001-0", recent), server_ms=b"500000")
    bench.machine.following.follows[names.group(ROOM)].members["a.me!1"] = -1e9
    bench.answer("read", rows)
    assert bench.bodies() == [b"1", b"2"]


def test_a_stream_that_was_empty_before_and_after_a_long_absence_may_have_expired_in_between() -> None:
    bench = Bench(ONE)
    bench.link_up(epoch=1)
    bench.join_live(ROOM, last=b"0-0")
    bench.link_down("0")
    bench.now += 71
    bench.link_up("0", epoch=1)
    bench.feed(events.Subscribed("0", names.group(ROOM)))
    bench.answer("read", page(last=b"0-0"))
    assert lost(bench) == 1


def test_the_answer_to_a_look_at_an_owner_that_was_retired_meanwhile_means_nothing() -> None:
    bench = Bench(TWO)
    bench.link_up("1", epoch=2)
    bench.join(ROOM)
    bench.feed(events.Subscribed("1", names.group(ROOM)))
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [2, b"", b"word", b"0"], "0")
    look = bench.call("read", "0")
    bench.feed(events.Learned(hosts(3, "1"), "a file"))
    bench.answer("fence", [3, b"", b"word", b"0"], "0")
    bench.answer("fence", [3, b"", b"word", b"0"], "1")
    bench.feed(events.Replied("0", look.purpose, page()))
    assert not bench.of(actions.Settle), "the join is not certain before the present owner has been looked at"
    bench.answer("join", [3, b"5-0", b"5"], "1")
    assert [one.verdict for one in bench.of(actions.Settle)] == [Verdict.DONE]


def test_what_is_no_entry_is_dropped_and_what_stands_behind_it_is_read() -> None:
    bench = in_a_room()
    bench.link_down()
    bench.link_up(epoch=1)
    bench.feed(events.Subscribed("0", names.group(ROOM)))
    no_text = entry(THEM, 2, epoch=1, channel="channel").replace(b"channel", b"chann\xff\xff")
    rows = [
        [b"7-0", b"", b""],
        [b"8-0", b"7-0/1", no_text],
        [b"9-0", b"no link", entry(THEM, 3, epoch=1)],
        [b"10-0", b"9-0/1", entry(THEM, 4, epoch=1)],
    ]
    bench.answer("read", [1, b"5", 0, b"10-0", rows])
    assert [one.reason for one in bench.of(actions.Dropped)] == ["malformed"] * 3
    assert bench.bodies() == [b"1", b"4"]
    assert bench.machine.following.follows[names.group(ROOM)].span.position == b"10-0"


def test_a_plain_list_that_slept_through_a_retirement_is_told_of_a_loss() -> None:
    for answered, lost in ((0, [(names.group("room"),)]), (2, [])):
        bench = Bench(hosts(0, "0"))
        bench.link_up(epoch=answered)
        bench.join_live()
        bench.feed(events.Learned(hosts(2, "0", "1")))
        fence_all(bench, 2)
        assert [one.destinations for one in bench.of(actions.Lost)] == lost
