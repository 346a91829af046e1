from __future__ import annotations

import pytest
from tests.support.machine_bench import Bench, group_owned_by, hosts

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events

OLD, NEW = hosts(1, "0"), hosts(2, "0", "1", earlier=(hosts(1, "0"),))


def at(epoch: int, host: str, earlier: tuple[HostList, ...] = ()) -> HostList:
    return HostList(epoch, (Shard("0", 1.0, {"host": host}),), earlier)


def places(bench: Bench) -> list[str]:
    return [one.hosts.shards[0].connection["host"] for one in bench.of(actions.UseShards)]


def fence_all(bench: Bench, epoch: int) -> None:
    while bench.calls("fence"):
        bench.answer("fence", [epoch, b"", b"word", b"0"])


def test_each_new_link_is_fenced_with_the_newest_list() -> None:
    bench = Bench(OLD)
    bench.feed(events.LinkUp("0", "run"))
    call = bench.call("fence")
    assert call.arguments[:2] == (1, OLD.to_json())
    assert call.keys == ("p:epoch", "p:hosts", "p:dataset")


def test_a_plain_list_is_never_stored() -> None:
    bench = Bench(hosts(0, "0"))
    bench.feed(events.LinkUp("0", "run"))
    assert bench.call("fence").arguments[:2] == (0, "")


def test_a_newer_list_is_adopted_when_every_shard_within_reach_is_fenced() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.Learned(NEW))
    assert [shard.name for shard in bench.of(actions.UseShards)[-1].hosts.shards] == ["0", "1"]
    assert not bench.of(actions.Adopted)
    bench.feed(events.LinkUp("1", "other"))
    bench.answer("fence", [2, b"", b"word", b"0"], "1")
    assert not bench.of(actions.Adopted)
    bench.answer("fence", [2, b"", b"word", b"0"], "0")
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2]


def test_a_list_that_is_learned_before_anything_was_done_is_used_as_if_there_had_been_no_other() -> None:
    bench = Bench(OLD)
    bench.feed(events.Learned(hosts(3, "0", "1")))
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [3]
    bench.feed(events.Listen())
    assert not bench.of(actions.Lost)
    bench.feed(events.LinkUp("0", "run"))
    assert bench.call("fence").arguments[0] == 3


@pytest.mark.parametrize(
    "done",
    [events.Listen(), events.Publish(1, "g:room", Kind.GROUP, "", b"", b"x", 0), events.LinkUp("0", "run")],
    ids=["listened", "sent", "linked"],
)
def test_a_list_that_is_learned_later_is_used_when_a_shard_of_it_answers(done: object) -> None:
    bench = Bench(OLD)
    bench.feed(done)
    bench.feed(events.Learned(hosts(3, "1")))
    assert not bench.of(actions.Adopted)


def test_a_list_is_learned_from_the_control_channel_a_heartbeat_and_a_fence() -> None:
    document = NEW.to_json().encode()
    for tell in (
        lambda bench: bench.feed(events.Pushed("0", "control", document)),
        lambda bench: bench.answer("heartbeat", [2, document, b"0", b"word"]),
        lambda bench: bench.answer("fence", [2, document, b"word", b"0"]),
    ):
        bench = Bench(OLD)
        bench.feed(events.LinkUp("0", "run"))
        tell(bench)
        assert bench.machine.epochs.newest == NEW


def test_an_older_or_equal_list_changes_nothing() -> None:
    bench = Bench(NEW)
    bench.link_up(epoch=2)
    bench.feed(events.Learned(OLD))
    bench.feed(events.Learned(NEW))
    assert bench.machine.epochs.newest == NEW
    assert not bench.of(actions.Adopted)


def test_a_list_none_of_whose_shards_can_be_reached_replaces_nothing() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.Learned(hosts(2, "elsewhere")))
    bench.send()
    assert bench.answer_all_ok() == [1]
    assert not bench.of(actions.Adopted)


def test_a_newer_list_in_the_middle_of_an_adoption_wins() -> None:
    newest = hosts(3, "1", "2")
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.LinkUp("1", "other"))
    bench.feed(events.Learned(NEW))
    bench.feed(events.Learned(newest))
    fence_all(bench, 3)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [3]


def test_a_shard_that_does_not_answer_holds_an_adoption_up_for_a_moment_only() -> None:
    both = hosts(1, "0", "1")
    bench = Bench(both)
    for shard in "01":
        bench.link_up(shard, epoch=1)
    bench.feed(events.Learned(hosts(2, "0", "1", earlier=(both,))))
    silent = bench.call("fence", "1")
    bench.tick()
    bench.tick(2)
    assert not bench.of(actions.Adopted), "no shard has taken the list yet"
    bench.answer("fence", [2, b"", b"word", b"0"], "0")
    bench.tick()
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2]
    to_the_silent, to_the_other = (bench.send(group_owned_by(shard, both)) for shard in "10")
    bench.answer_all_ok()
    assert bench.verdict(to_the_other) is not None
    assert bench.verdict(to_the_silent) is None, "nothing is written before the fence is answered"
    bench.feed(events.Replied("1", silent.purpose, [2, b"", b"word", b"0"]))
    bench.answer_all_ok()
    assert bench.verdict(to_the_silent) is not None


def test_a_newer_list_is_waited_for_as_long_as_the_one_before() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.LinkUp("1", "other"))
    bench.feed(events.Learned(NEW))
    for _ in range(3):
        bench.tick()
    bench.feed(events.Learned(hosts(3, "0", "1", earlier=(NEW, OLD))))
    bench.call("fence", "0")  # with the one before; its answer says nothing any more
    bench.answer("fence", [3, b"", b"word", b"0"], "0")
    bench.tick()
    bench.tick(0.9)
    assert not bench.of(actions.Adopted)
    bench.tick(0.2)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [3]


def test_a_shard_that_goes_away_in_an_adoption_does_not_hold_it_up() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.LinkUp("1", "other"))
    bench.answer("fence", [1, b"", b"word", b"0"], "1")
    bench.feed(events.Learned(NEW))
    bench.answer("fence", [2, b"", b"word", b"0"], "1")
    bench.link_down("0")
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2]
    bench.feed(events.LinkUp("0", "run"))
    assert bench.call("fence", "0").arguments[0] == 2


def test_a_refused_fence_is_tried_again() -> None:
    bench = Bench(OLD)
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", events.Refusal("LOADING", "LOADING"))
    assert not bench.calls("fence")
    bench.tick()
    bench.answer("fence", [1, b"", b"word", b"0"])
    bench.send()
    assert bench.answer_all_ok() == [1]


def test_a_heartbeat_that_finds_an_older_shard_fences_it() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.answer("heartbeat", [0, b"", b"0", b"word"])
    assert bench.call("fence").arguments[0] == 1


def test_a_pinned_list_writes_under_the_shards_own_epoch() -> None:
    bench = Bench(hosts(0, "0"), follow_hosts=False)
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [7, NEW.to_json().encode(), b"word", b"0"])
    bench.send()
    assert bench.call("publish").arguments[0] == 7
    assert not bench.of(actions.Adopted)


def test_a_document_that_is_no_host_list_is_ignored() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.Pushed("0", "control", b"rubbish"))
    bench.feed(events.Pushed("0", "control", b""))
    assert bench.machine.epochs.newest == OLD


def test_a_list_none_of_whose_shards_can_be_reached_fences_nobody() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.Learned(hosts(2, "elsewhere")))
    bench.answer("heartbeat", [1, b"", b"0", b"word"])
    bench.link_down("0")
    bench.feed(events.LinkUp("0", "run"))
    fences = [action for action in bench.of(actions.Call) if action.script == "fence"]
    assert {(call.shard, call.arguments[0]) for call in fences} == {("0", 1)}


def test_a_list_none_of_whose_shards_can_be_reached_does_not_hold_up_one_that_is_being_adopted() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    bench.feed(events.Learned(NEW))
    bench.feed(events.Learned(hosts(3, "elsewhere")))
    bench.feed(events.LinkUp("1", "other"))
    fence_all(bench, 2)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2]
    bench.feed(events.LinkUp("elsewhere", "late"))
    fence_all(bench, 3)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2, 3]


def test_another_list_of_the_same_epoch_is_told_and_not_adopted() -> None:
    other = hosts(1, "0", "x").to_json().encode()
    for tell, where in (
        (lambda bench: bench.feed(events.Learned(hosts(1, "0", "x"), "hosts.json")), "hosts.json"),
        (lambda bench: bench.feed(events.Pushed("0", "control", other)), "the control channel of shard 0"),
        (lambda bench: bench.answer("fence", [1, other, b"word", b"0"]), "shard 0"),
    ):
        bench = Bench(OLD)
        bench.feed(events.LinkUp("0", "run"))
        tell(bench)
        (refused,) = bench.of(actions.HostsRefused)
        assert refused.reason.startswith(f"{where} holds another host list of epoch 1")
        assert bench.machine.epochs.newest == OLD


def test_the_same_list_in_another_order_of_fields_is_no_other_list() -> None:
    bench = Bench(OLD)
    bench.feed(events.LinkUp("0", "run"))
    bench.answer("fence", [1, OLD.to_json().replace(",", ", ").encode(), b"word", b"0"])
    assert not bench.of(actions.HostsRefused)


def test_with_keys_an_unsigned_document_is_told_of_and_not_adopted() -> None:
    bench = Bench(OLD, keys=("secret",))
    bench.link_up(epoch=1)
    bench.feed(events.Pushed("0", "control", NEW.to_json().encode()))
    assert "is not signed" in bench.of(actions.HostsRefused)[0].reason
    assert bench.machine.epochs.newest == OLD
    bench.feed(events.Pushed("0", "control", bench.identity.documents.write(NEW).encode()))
    assert bench.machine.epochs.newest == NEW


def test_with_keys_what_a_shard_holds_of_the_list_in_use_is_signed() -> None:
    bench = Bench(OLD, keys=("secret",))
    bench.feed(events.LinkUp("0", "run"))
    assert bench.of(actions.Call)[0].arguments[1] == bench.identity.documents.write(OLD)
    unsigned = OLD.to_json().encode()
    bench.answer("fence", [1, unsigned, b"word", b"0"])
    call = bench.call("sign")
    assert (call.keys, call.arguments) == (("p:hosts",), (unsigned, bench.identity.documents.write(OLD)))


def test_a_shard_with_another_address_is_fenced_where_it_is_then_left_and_no_epoch_is_reported_before() -> None:
    bench = Bench(at(1, "here"))
    bench.link_up(epoch=1)
    bench.feed(events.Learned(at(2, "there", (at(1, "here"),))))
    assert places(bench) == ["here"], "a link stays while its shard has to be fenced"
    fence_all(bench, 2)
    assert places(bench)[-1] == "there"
    bench.tick()
    assert bench.machine.reported_epoch == 1
    bench.link_down()
    bench.link_up(run_id="other", epoch=2)
    bench.tick()
    assert bench.machine.reported_epoch == 2


def test_a_dead_shard_is_looked_for_at_its_new_address_and_not_left_again() -> None:
    bench = Bench(at(1, "here"))
    bench.feed(events.Learned(at(2, "there", (at(1, "here"),))))
    assert places(bench) == ["there"]
    bench.feed(events.LinkUp("0", "run"))
    fence_all(bench, 2)
    bench.tick()
    assert set(places(bench)) == {"there"}
    assert bench.machine.reported_epoch == 2


def test_a_shard_that_dies_before_a_list_is_adopted_is_looked_for_where_that_has_it() -> None:
    bench = Bench(at(1, "here"))
    bench.link_up(epoch=1)
    bench.feed(events.Learned(at(2, "there", (at(1, "here"),))))
    bench.link_down()
    assert places(bench) == ["here", "there"]


def test_with_other_keys_what_shards_hold_is_looked_at_again_and_signed_with_the_first_of_them() -> None:
    bench = Bench(OLD, keys=("old",))
    bench.feed(events.LinkUp("0", "run"))
    signed_before = bench.identity.documents.write(OLD).encode()
    bench.answer("fence", [1, signed_before, b"word", b"0"])
    assert not bench.calls("sign")
    bench.identity.documents.use(("new", "old"))
    bench.feed(events.KeysChanged())
    bench.answer("fence", [1, signed_before, b"word", b"0"])
    assert bench.call("sign").arguments == (signed_before, bench.identity.documents.write(OLD))
    assert bench.machine.epochs.newest == OLD


def test_a_list_out_of_reach_bars_no_lower_one_that_is_within_reach_and_is_told_of() -> None:
    bench = Bench(hosts(0, "0"))
    bench.link_up()
    bench.feed(events.Learned(hosts(100, "nowhere")))
    bench.answer("heartbeat", [1, OLD.to_json().encode(), b"0", b"word"])
    fence_all(bench, 1)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [1]
    (told,) = bench.of(actions.HostsRefused)
    assert "epoch 100 can be reached" in told.reason
    bench.send()
    assert bench.answer_all_ok() == [1]
    bench.feed(events.LinkUp("nowhere", "after all"))
    fence_all(bench, 100)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [1, 100]


def test_a_shard_for_which_lists_have_several_places_is_looked_for_at_each_in_turn() -> None:
    bench = Bench(at(1, "here"))
    bench.feed(events.Listen())
    for epoch, place in ((2, "there"), (3, "nowhere")):
        bench.feed(events.Learned(at(epoch, place)))
    for _ in range(4):
        bench.feed(events.LinkDown("0", "refused"))
    assert places(bench) == ["there", "nowhere", "there", "here", "nowhere", "there"]


def test_of_lists_out_of_reach_those_are_kept_that_were_heard_of_last() -> None:
    bench = Bench(OLD)
    bench.link_up(epoch=1)
    for epoch in (900, 800, 700, 600, 500, 400):
        bench.feed(events.Learned(hosts(epoch, f"nowhere-{epoch}")))
    assert bench.machine.epochs.newest.epoch == 700
    bench.feed(events.Learned(NEW))
    fence_all(bench, 2)
    assert [one.hosts.epoch for one in bench.of(actions.Adopted)] == [2]
