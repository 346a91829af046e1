"""The task of a resource: when it passes, when it rests, and that one resource's failure is its own."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import pytest

from realtime_operator import following as module
from realtime_operator.apply.perform import NotLeading
from realtime_operator.following import Following
from realtime_operator.kube.errors import KubeError
from realtime_operator.options import Options
from realtime_operator.plan import Outcome, Plan, Promote
from realtime_operator.reconciler import Pass
from realtime_operator.snapshot import Address

KEY = ("talk", "chat")
ACTED = Pass(Plan(), (Outcome(Promote("s", Address("10.0.0.1", 6379))),))
RESTED = Pass()


class Scripted:
    """In a reconciler's place: passes that come to what the test says."""

    def __init__(self, *results: Pass | BaseException) -> None:
        self.results = list(results)
        self.passes = 0
        self.again = asyncio.Event()

    async def run(self) -> Pass:
        self.passes += 1
        self.again.set()
        result = self.results.pop(0) if self.results else RESTED
        if isinstance(result, BaseException):
            raise result
        return result

    @property
    def servers(self) -> Scripted:
        return self

    @property
    def backoff(self) -> Scripted:
        return self

    def next_try(self) -> None:
        return None

    async def close(self) -> None:
        return None


class Leads:
    def __init__(self) -> None:
        self.leading = asyncio.Event()
        self.leading.set()

    def leads(self) -> bool:
        return self.leading.is_set()


def begin(monkeypatch: pytest.MonkeyPatch, scripted: Scripted, leads: Leads | None = None) -> Following:
    monkeypatch.setattr(module, "Reconciler", lambda *_: scripted)
    anything: Any = None
    clock = asyncio.get_running_loop().time
    options = Options("rtg", (), "image", "me")
    made = Following(options, anything, anything, leads or Leads(), clock, Random(1))  # type: ignore[arg-type] # in its place
    made.all_is_read()
    made.begin(KEY)
    return made


async def passes(scripted: Scripted, count: int) -> None:
    async with asyncio.timeout(5):
        while scripted.passes < count:
            scripted.again.clear()
            await scripted.again.wait()


async def test_a_pass_that_changed_something_is_followed_by_one_that_looks_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scripted = Scripted(ACTED, ACTED, RESTED)
    following = begin(monkeypatch, scripted)
    await passes(scripted, 3)
    await asyncio.sleep(0.2)  # nothing may happen, so there is no condition to wait for
    assert scripted.passes == 3
    await following.close()


async def test_a_change_makes_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    following = begin(monkeypatch, scripted)
    await passes(scripted, 1)
    following.wake(KEY)
    await passes(scripted, 2)
    await following.close()


async def test_a_resource_that_is_gone_is_followed_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    following = begin(monkeypatch, scripted)
    await passes(scripted, 1)
    following.end(KEY)
    following.wake(KEY)
    await asyncio.sleep(0.2)  # nothing may happen, so there is no condition to wait for
    assert scripted.passes == 1
    await following.close()


@pytest.mark.parametrize("failure", [KubeError(503, "away"), ValueError("a fault of ours"), NotLeading()])
async def test_a_pass_that_fails_as_a_whole_is_tried_again_later(
    monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.05)
    scripted = Scripted(failure, failure, RESTED)
    following = begin(monkeypatch, scripted)
    await passes(scripted, 3)
    await following.close()


async def test_passes_are_counted_by_what_they_came_to_and_cancelled_ones_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LONGEST_SECONDS", 0.05)
    counted: list[str] = []
    monkeypatch.setattr(module.recording, "passed", lambda result, seconds: counted.append(result))
    scripted = Scripted(ACTED, KubeError(503, "away"), NotLeading(), RESTED, asyncio.CancelledError())
    following = begin(monkeypatch, scripted)
    await passes(scripted, 4)
    following.wake(KEY)
    await passes(scripted, 5)
    await following.close()
    assert counted == ["changed", "failed", "not_leading", "nothing_to_do"]


async def test_nothing_passes_while_somebody_else_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    leads, scripted = Leads(), Scripted()
    leads.leading.clear()
    following = begin(monkeypatch, scripted, leads)
    await asyncio.sleep(0.2)  # nothing may happen, so there is no condition to wait for
    assert scripted.passes == 0
    leads.leading.set()
    await passes(scripted, 1)
    await following.close()


async def test_a_resource_that_never_comes_to_rest_is_looked_at_ever_more_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RESTLESS_PASSES", 2)
    monkeypatch.setattr(module, "BURST_SECONDS", 0.0)
    scripted = Scripted(*[ACTED] * 50)
    following = begin(monkeypatch, scripted)
    await passes(scripted, 3)
    await asyncio.sleep(0.5)  # nothing may happen, so there is no condition to wait for
    assert scripted.passes == 3
    await following.close()
