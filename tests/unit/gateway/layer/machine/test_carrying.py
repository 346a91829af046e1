from __future__ import annotations

from tests.support.machine_bench import Bench, group_owned_by, hosts

from realtime_gateway.hosts import HostList
from realtime_gateway.layer.machine import actions, events

ONE = hosts(1, "0")
TWO = hosts(2, "0", "1", earlier=(ONE,))
MOVED = group_owned_by("1", TWO)
LEFT = group_owned_by("0", TWO)
PAIRS = [b"receipts", b"1000", b"mails", b"-2000"]


def adopting(hosts_now: HostList = TWO) -> Bench:
    """A process that has fenced both shards at the second epoch, and waits for what the first one holds."""
    bench = Bench(ONE)
    bench.no_normal_members = False
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [1, b"", b"word", b"0"])
    bench.answer("groups", [])
    bench.feed(events.Learned(hosts_now))
    bench.feed(events.LinkUp("1", "other"))
    while bench.calls("fence"):
        bench.answer("fence", [hosts_now.epoch, b"", b"word", b"0"])
    return bench


def adopted(bench: Bench) -> bool:
    return bool(bench.of(actions.Adopted))


def test_a_list_is_used_once_the_normal_channels_of_moved_groups_have_gone_along() -> None:
    bench = adopting()
    bench.answer("groups", [LEFT.encode(), MOVED.encode()], "0")
    bench.answer("groups", [], "1")
    call = bench.call("members", "0")
    assert call.keys == (f"p:group:{MOVED}",)
    assert not adopted(bench)
    bench.feed(events.Replied("0", call.purpose, [PAIRS]))
    call = bench.call("carry", "1")
    assert call.keys == ("p:epoch", "p:groups", f"p:group:{MOVED}")
    assert call.arguments == (2, 86_400_000, MOVED, *PAIRS)
    assert not adopted(bench)
    bench.feed(events.Replied("1", call.purpose, 1))
    assert adopted(bench)


def test_where_no_group_has_normal_channels_there_is_nothing_to_wait_for() -> None:
    bench = adopting()
    bench.answer("groups", [], "0")
    assert not adopted(bench)
    bench.answer("groups", [], "1")
    assert adopted(bench)


def test_what_no_earlier_list_leaves_on_a_shard_is_dropped_there() -> None:
    bench = adopting(hosts(2, "0", "1"))
    bench.answer("groups", [MOVED.encode()], "0")
    call = bench.call("drop", "0")
    assert (call.keys[2:], call.arguments) == ((f"p:group:{MOVED}",), (2, MOVED))


def test_a_new_owner_out_of_reach_takes_over_when_it_is_back_and_holds_nothing_up() -> None:
    bench = Bench(ONE)
    bench.no_normal_members = False
    bench.link_up(epoch=1)
    bench.answer("groups", [])
    bench.feed(events.Learned(TWO))
    bench.answer("fence", [2, b"", b"word", b"0"])
    bench.answer("groups", [MOVED.encode()])
    bench.answer("members", [PAIRS])
    assert adopted(bench)
    assert not bench.calls("carry")
    bench.feed(events.LinkUp("1", "other"))
    bench.answer("fence", [2, b"", b"word", b"0"], "1")
    assert bench.call("carry", "1").arguments[2] == MOVED


def test_an_old_owner_that_went_away_in_the_middle_is_asked_again_when_it_is_back() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.link_down("0")
    assert adopted(bench)
    bench.link_up("0", epoch=2)
    assert bench.calls("groups") == 1


def settled(bench: Bench) -> bool:
    bench.tick(0)
    return bench.machine.reported_epoch == 2


BUSY = events.Refusal("BUSY", "BUSY Redis is busy running a script")


def test_a_step_that_is_refused_holds_nothing_up_and_is_tried_until_it_is_done() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.answer("groups", BUSY, "0")
    assert adopted(bench)
    assert not settled(bench)
    assert not bench.calls("groups"), "not at once"
    bench.tick(1)
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", BUSY, "0")
    bench.tick(1)
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", [PAIRS], "0")
    for refusal in (BUSY, 0):  # 0: the shard is at another epoch
        bench.answer("carry", refusal, "1")
        assert not settled(bench)
        bench.tick(1)
    assert bench.call("carry", "1").arguments[2:] == (MOVED, *PAIRS)
    assert not settled(bench)
    assert [one.count for one in bench.of(actions.Dropped) if one.reason == "carry_refused"] == [1] * 4
    (told,) = {one.reason for one in bench.of(actions.HostsRefused) if "shard 1" in one.reason}
    assert BUSY.text in told


def test_an_epoch_is_reported_when_the_members_have_arrived() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", [PAIRS], "0")
    assert not settled(bench)
    bench.answer("carry", 1, "1")
    assert settled(bench)


def test_an_epoch_is_not_reported_while_the_new_owner_cannot_take_over() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.answer("groups", [MOVED.encode()], "0")
    bench.link_down("1")
    bench.answer("members", [PAIRS], "0")
    assert adopted(bench)
    bench.tick(600)
    assert not settled(bench)
    bench.link_up("1", "other", epoch=2)
    bench.answer("groups", [], "1")
    bench.answer("carry", 1, "1")
    assert settled(bench)


def test_an_earlier_owner_that_stays_out_of_reach_is_given_up_after_as_long_as_history_lasts() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.link_down("0")
    bench.tick(59)
    assert not settled(bench)
    bench.tick(2)
    assert settled(bench)


def test_what_waits_for_a_new_owner_does_not_grow_with_each_look() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.link_down("1")
    for _ in range(5):
        bench.answer("groups", [MOVED.encode()], "0")
        bench.answer("members", [PAIRS], "0")
        bench.link_down("0")
        bench.link_up("0", epoch=2)
    bench.link_up("1", "other", epoch=2)
    assert bench.calls("carry") == 1


def test_what_was_carried_to_a_server_that_was_replaced_is_carried_again() -> None:
    bench = adopting()
    bench.answer("groups", [], "1")
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", [PAIRS], "0")
    bench.answer("carry", 1, "1")
    bench.link_down("1")
    bench.link_up("1", "a replica that lacks it", epoch=2)
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", [PAIRS], "0")
    assert bench.calls("carry") == 1


def test_a_shard_that_tells_us_of_the_list_itself_is_looked_at_as_well() -> None:
    bench = Bench(ONE)
    bench.no_normal_members = False
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [2, TWO.to_json().encode(), b"word", b"0"])
    assert not adopted(bench)
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("members", [PAIRS], "0")
    assert adopted(bench)
    bench.link_up("1", epoch=2)
    assert bench.call("carry", "1").arguments[2] == MOVED


def test_who_starts_in_the_middle_of_a_move_has_a_share_in_it() -> None:
    bench = Bench(TWO)
    bench.no_normal_members = False
    assert bench.machine.reported_epoch == 1
    bench.link_up("0", epoch=2)
    bench.link_up("1", epoch=2)
    bench.answer("groups", [MOVED.encode()], "0")
    bench.answer("groups", [], "1")
    bench.answer("members", [PAIRS], "0")
    assert not settled(bench)
    bench.answer("carry", 1, "1")
    assert settled(bench)


def test_a_plain_list_moves_nothing() -> None:
    bench = Bench()
    bench.no_normal_members = False
    bench.link_up()
    assert not bench.calls("groups")


def test_who_is_taken_out_while_an_earlier_owner_holds_it_leaves_a_word_behind() -> None:
    bench = Bench(TWO)
    bench.link_up("0", epoch=2)
    bench.link_up("1", epoch=2)
    for group, word in ((MOVED, 1), (LEFT, 0)):
        bench.feed(events.Leave(9, group, "receipts", own=False))
        assert bench.call("member").arguments[-2:] == (group, word)
