from __future__ import annotations

import pytest
from tests.support.machine_bench import Bench, entry, page

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.follow import Follow


def test_a_process_says_that_it_lives_on_each_link_and_again_every_few_seconds() -> None:
    bench = Bench()
    bench.feed(events.Described('{"name": "pod"}'))
    bench.link_up()
    beat = bench.call("heartbeat")
    assert beat.arguments[:2] == ("me", '{"name": "pod"}')
    bench.tick(1)
    assert not bench.calls("heartbeat")
    bench.tick(2)
    assert bench.calls("heartbeat") == 1


def test_a_shard_that_was_never_up_is_not_reported_as_lost() -> None:
    bench = Bench()
    bench.feed(events.LinkDown("0", "refused"))
    assert not bench.of(actions.Disconnected)


def test_a_shard_is_reported_once_as_lost_and_as_back_when_everything_is_read() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.link_down()
    bench.feed(events.LinkDown("0", "still"))
    assert len(bench.of(actions.Disconnected)) == 1
    bench.link_up()
    assert not bench.of(actions.Reconnected)
    bench.feed(events.Subscribed("0", "g:room"))
    bench.answer("read", page())
    assert bench.of(actions.Reconnected) == [actions.Reconnected("0", ("g:room",), ())]


def test_a_return_names_what_was_lost() -> None:
    bench = Bench()
    bench.link_up()
    bench.join_live()
    bench.push(b"6-0", entry(5, 1))
    bench.link_down()
    bench.link_up()
    bench.feed(events.Subscribed("0", "g:room"))
    bench.answer("read", page((b"6-2", entry(5, 3, previous=2))))
    assert bench.of(actions.Reconnected)[0].lost == ("g:room",)


def looks_at_follows_in_a_return(groups: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Come back with so many groups; return how often it was asked which shard owns one."""
    bench, looks, shard = Bench(), 0, Follow.shard.fget
    assert shard is not None
    bench.link_up()
    for number in range(groups):
        bench.join_live(f"room-{number}")
    bench.link_down()
    bench.link_up()

    def count(follow: Follow) -> str:
        nonlocal looks
        looks += 1
        return shard(follow)

    with monkeypatch.context() as patched:
        patched.setattr(Follow, "shard", property(count))
        for number in range(groups):
            assert not bench.of(actions.Reconnected)
            bench.feed(events.Subscribed("0", f"g:room-{number}"))
            bench.answer("read", page(after=b"5-0"))
    assert len(bench.of(actions.Reconnected)) == 1
    return looks


def test_the_work_of_a_return_grows_with_the_number_of_groups_and_not_with_its_square(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = (looks_at_follows_in_a_return(groups, monkeypatch) for groups in (50, 100))
    assert few <= many <= 2 * few


def test_a_join_that_fails_says_why_the_shard_is_out_of_reach() -> None:
    bench = Bench()
    bench.feed(events.LinkRefused("0", "NOAUTH"))
    ticket = bench.join()
    bench.tick(11)
    assert bench.verdict(ticket) == actions.Settle(ticket, actions.Verdict.UNAVAILABLE, "0", "NOAUTH")


def test_a_channel_that_is_gone_leaves_every_group() -> None:
    bench = Bench()
    bench.link_up()
    for group in ("a", "b", "c"):
        bench.join_live(group)
    bench.join("a", "a.me!2")
    bench.feed(events.Gone("a.me!1"))
    assert list(bench.machine.following.follows) == ["g:a"]


def test_a_flush_ends_all_memberships_but_not_the_inbox() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Listen())
    bench.join_live()
    bench.feed(events.Flushed())
    assert list(bench.machine.following.follows) == ["i:me"]


def test_a_full_mailbox_is_announced_and_taken_back() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Full("a.me!1", True))
    assert (bench.pending[-1].keys, bench.pending[-1].arguments) == (("p:full:a.me!1",), (2000,))
    bench.feed(events.Full("a.me!1", False))
    assert bench.pending[-1].arguments == (0,)


def test_ones_own_messages_are_seen_to_come_back() -> None:
    bench = Bench()
    bench.link_up()
    bench.feed(events.Listen())
    bench.feed(events.Subscribed("0", "i:me"))
    bench.answer("read", page())
    assert bench.machine.sequence_seen(names.inbox("me")) == 0
    own = entry(77, 8, kind=Kind.CHANNEL, channel="a.me!1")
    bench.feed(events.Pushed("0", "i:me", b"6-0 0-0/0 " + own))
    assert bench.machine.sequence_seen(names.inbox("me")) == 8
