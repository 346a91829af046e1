from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

import pytest

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.hosts.rolling import Mint, Pending, Report, Roll, Seen, Wanted, Why, next_step

A, B, C = (Shard(name, 1.0, {"host": name}) for name in "abc")
ONE = HostList(1, (A, B), managed_by="me")
THREE = HostList(2, (A, B, C), (replace(ONE, managed_by=""),), managed_by="me")


def wanted(*shards: Shard, **more: object) -> Wanted:
    return replace(Wanted(shards, expiry_seconds=60, managed_by="me"), **more)


def stored(hosts: HostList | None, names: str = "abc") -> dict[str, HostList | None]:
    return dict.fromkeys(names, hosts)


def at(*epochs: int) -> tuple[Report, ...]:
    return tuple(Report(f"p{number}", epoch) for number, epoch in enumerate(epochs))


def test_the_first_list_waits_until_every_shard_is_ready_and_says_what_it_holds() -> None:
    assert next_step(wanted(A, B, unready=("b",)), Seen(None)) == Pending(("b",))
    assert next_step(wanted(A, B), Seen(None, unanswered=("a",))) == Pending((), ("a",))
    assert next_step(wanted(A, B), Seen(None, floor=4)) == Mint(replace(ONE, epoch=5), Why.FIRST)


def test_without_a_durable_copy_the_shards_own_list_is_the_one_and_is_changed_after_that() -> None:
    seen = Seen(None, stored={"a": ONE, "b": None, "c": None})
    assert next_step(wanted(A, B, C), seen) == Mint(ONE, Why.DELETED)
    assert next_step(wanted(A, B, C), replace(seen, durable=ONE)) == Mint(THREE, Why.RESHARD)


def test_another_list_waits_for_its_shards_while_the_present_one_is_still_told() -> None:
    seen = Seen(ONE, stored={"a": ONE, "b": None}, reports=at(1, 1))
    assert next_step(wanted(A, B, C, unready=("c",)), seen) == Roll(tell=("b",), unready=("c",))


def test_every_shard_of_every_list_is_told_and_whoever_does_not_answer_is_named() -> None:
    seen = Seen(THREE, stored={"a": ONE, "b": THREE}, unanswered=("c",), reports=at(2))
    assert next_step(wanted(A, B, C), seen) == Roll(tell=("a",), unreached=("c",), retiring=True)


def test_earlier_lists_are_retired_when_all_report_the_epoch_for_longer_than_messages_live() -> None:
    seen = Seen(THREE, stored=stored(THREE), reports=at(2, 1))
    assert next_step(wanted(A, B, C), seen) == Roll(behind=("p1",), retiring=True)
    all_there = replace(seen, reports=at(2, 2), settled_seconds=60)
    assert next_step(wanted(A, B, C), all_there) == Roll(retiring=True, settled=True)
    step = next_step(wanted(A, B, C), replace(all_there, settled_seconds=60.1))
    assert step == Mint(HostList(3, (A, B, C), managed_by="me"), Why.RETIRE)


def test_messages_that_live_longer_in_a_processs_own_settings_are_waited_for() -> None:
    reports = (Report("p0", 2), Report("p1", 2, expiry_seconds=3600))
    seen = Seen(THREE, stored=stored(THREE), reports=reports, settled_seconds=3600)
    step = next_step(wanted(A, B, C), seen)
    assert isinstance(step, Roll)
    assert step.expiry_seconds == 3600
    assert isinstance(next_step(wanted(A, B, C), replace(seen, settled_seconds=3600.1)), Mint)


def test_nothing_is_retired_while_nobody_could_be_asked() -> None:
    seen = Seen(THREE, stored=stored(THREE), reports=None, settled_seconds=1000)
    assert next_step(wanted(A, B, C), seen) == Roll(behind=None, retiring=True)


def test_it_is_finished_when_all_report_the_list_without_earlier_ones() -> None:
    retired = HostList(3, (A, B, C), managed_by="me")
    for reports, finished in ((at(2, 3), False), (at(3, 3), True), ((), True)):
        step = next_step(wanted(A, B, C), Seen(retired, stored=stored(retired), reports=reports))
        assert isinstance(step, Roll)
        assert step.finished is finished


def test_another_change_in_the_middle_keeps_every_list_that_is_not_retired() -> None:
    step = next_step(wanted(A, B), Seen(THREE, stored=stored(THREE), reports=at(2)))
    assert isinstance(step, Mint)
    assert [hosts.epoch for hosts in (step.hosts, *step.hosts.earlier)] == [3, 2, 1]
    assert [shard.name for shard in step.hosts.every_shard] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("seen", "epoch", "why"),
    {
        "the shards are ahead": (Seen(ONE, stored={"a": THREE}), 2, Why.SHARDS_AHEAD),
        "one epoch has two contents": (Seen(ONE, stored={"a": replace(ONE, shards=(A,))}), 2, Why.CONFLICT),
        "the durable copy was set back": (Seen(ONE, stored=stored(ONE, "ab"), floor=8), 9, Why.SET_BACK),
        "the durable copy is damaged": (Seen(None, "no JSON", stored={"a": THREE}), 3, Why.DAMAGED),
        "it is damaged and the shards are empty": (Seen(None, "no JSON", floor=8), 9, Why.DAMAGED),
    }.values(),
    ids=str,
)
def test_the_greatest_epoch_wins_where_the_copies_disagree(seen: Seen, epoch: int, why: Why) -> None:
    step = next_step(wanted(A, B, C), seen)
    assert isinstance(step, Mint)
    assert (step.hosts.epoch, step.why) == (epoch, why)


EVIL = Shard("x", 1.0, {"host": "evil"})


@pytest.mark.parametrize(
    "strange",
    {
        "a shard of another name": HostList(7, (A, B, EVIL), managed_by="me"),
        "a known name at another place": HostList(7, (A, Shard("b", 1.0, {"host": "evil"})), managed_by="me"),
        "in an earlier list only": HostList(7, (A, B), (HostList(6, (A, EVIL)),), managed_by="me"),
    }.values(),
    ids=str,
)
def test_of_a_list_on_a_shard_that_names_an_unknown_server_only_the_epoch_counts(strange: HostList) -> None:
    held = {"a": strange, "b": ONE}
    for seen, why in (
        (Seen(ONE, stored=held), Why.STRANGE),
        (Seen(None, stored=held), Why.FIRST),
        (Seen(None, "no JSON", stored=held), Why.DAMAGED),
    ):
        made = next_step(wanted(A, B), seen)
        assert isinstance(made, Mint)
        assert made.why is why
        assert set(made.hosts.every_shard) == {A, B}
        if why is Why.DAMAGED:  # the next look sees the greater epoch
            made = next_step(wanted(A, B), replace(seen, durable=made.hosts, damaged=""))
            assert isinstance(made, Mint)
        assert made.hosts.epoch == 8


def test_a_newer_list_on_a_shard_is_taken_over_where_each_of_its_servers_is_known() -> None:
    seen = Seen(ONE, stored={"a": THREE})
    assert next_step(wanted(A, B, known=(C,)), seen) == Mint(THREE, Why.SHARDS_AHEAD)
    pairs = HostList(2, (replace(A, connection={"sentinels": [["s", 1]]}),))
    same = Seen(HostList(1, (replace(A, connection={"sentinels": [("s", 1)]}),)), stored={"a": pairs})
    assert next_step(wanted(A), same) == Mint(pairs, Why.SHARDS_AHEAD), "a pair in code is a list in JSON"


def test_what_is_signed_is_told_by_the_processes_alone() -> None:
    want, seen = wanted(A, B, C), Seen(THREE, stored=stored(replace(ONE, signature="…")), reports=at(1))
    assert next_step(want, seen) == Roll(behind=("p0",), retiring=True)
    assert next_step(want, replace(seen, reports=at(2))) == Roll(retiring=True)
    assert next_step(want, replace(seen, reports=())) == Roll(retiring=True, settled=True)


@dataclass
class World:
    """Shards, processes and a durable copy, and somebody who carries out steps and may die between any two of them."""

    random: random.Random
    durable: HostList | None = None
    shards: dict[str, HostList | None] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=lambda: {"p": 1, "q": 1})
    settled_since: float | None = None
    now: float = 0.0

    def step(self, want: Wanted) -> bool:
        """One look and what follows from it; returns whether it is finished."""
        self.now += 1
        names = {shard.name for shard in want.shards} | set(self.shards)
        unanswered = tuple(sorted(name for name in names if self.random.random() < 0.1))
        seen = Seen(
            self.durable,
            stored={name: self.shards.setdefault(name, None) for name in names if name not in unanswered},
            unanswered=unanswered,
            reports=tuple(Report(*one) for one in self.processes.items()) if self.random.random() < 0.9 else None,
            settled_seconds=0.0 if self.settled_since is None else self.now - self.settled_since,
        )
        found = next_step(want, seen)
        if self.random.random() < 0.1:
            self.settled_since = None  # it died, and whoever is next has not seen anything yet
            return False
        if isinstance(found, Mint):
            assert self.durable is None or found.hosts.epoch > self.durable.epoch
            self.durable, self.settled_since = found.hosts, None
        if isinstance(found, Roll):
            for name in found.tell:
                if self.random.random() < 0.8:
                    self.shards[name] = self.durable
            self.settled_since = None if not found.settled else self.settled_since or self.now
            if found.finished:
                assert self.durable is not None
                assert set(self.processes.values()) == {self.durable.epoch}, "nobody uses what may end now"
        return isinstance(found, Roll) and found.finished

    def live(self) -> None:
        for name in self.processes:
            known = [hosts.epoch for hosts in self.shards.values() if hosts]
            if known and self.random.random() < 0.3:
                self.processes[name] = max(self.processes[name], *known)


@pytest.mark.parametrize("seed", range(50))
def test_whoever_dies_anywhere_and_begins_again_finishes_what_is_wanted_last(seed: int) -> None:
    world = World(random.Random(seed))
    for shards in ((A, B), (A, B, C), (B, C), (A, B)):
        for _ in range(world.random.choice([3, 30, 100])):  # the next change may come long before this one is finished
            world.step(wanted(*shards, expiry_seconds=5.0))
            world.live()
    for _ in range(1000):
        if world.step(wanted(A, B, expiry_seconds=5.0)):
            break
        world.live()
    assert world.durable is not None
    assert world.durable.every_shard == (A, B)
    assert all(world.shards[name] == world.durable for name in "ab")
