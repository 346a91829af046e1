"""One leads, however answers are lost, and the other takes over when it surely may."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from realtime_operator import leadership as module
from realtime_operator import recording
from realtime_operator.kube.errors import KubeError
from realtime_operator.leadership import LEASE_SECONDS, Leadership


class Server:
    """The API server's part: one Lease, with versions."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.away = False

    async def get(self, *_: object) -> dict[str, Any]:
        self._answer()
        if self.lease is None:
            raise KubeError(404, "not found")
        return self.lease

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        if self.lease is not None:
            raise KubeError(409, "exists")
        return self._store(manifest)

    async def replace(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        assert self.lease is not None
        if manifest["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise KubeError(409, "has been modified")
        return self._store(manifest)

    def _answer(self) -> None:
        if self.away:
            raise KubeError(0, "no answer")

    def _store(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": str(self.version)}}
        return self.lease


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def candidate(server: Server, clock: Clock, name: str) -> Leadership:
    client: Any = server
    return Leadership(client, "rtg", "lease", name, clock)


async def turn(*candidates: Leadership) -> None:
    for one in candidates:
        try:
            await one._take_part()
        except KubeError:
            one._held = None
        one.leads()


async def test_the_first_one_leads_and_the_other_waits(server: Server, clock: Clock) -> None:
    a, b = candidate(server, clock, "a"), candidate(server, clock, "b")
    await turn(a, b)
    assert (a.leads(), b.leads()) == (True, False)


async def test_whoever_renews_goes_on_leading(server: Server, clock: Clock) -> None:
    a, b = candidate(server, clock, "a"), candidate(server, clock, "b")
    for _ in range(20):
        await turn(a, b)
        clock.now += 10
        assert (a.leads(), b.leads()) == (True, False)


async def test_two_never_lead_at_once_while_the_leader_gets_no_answers(server: Server, clock: Clock) -> None:
    a, b = candidate(server, clock, "a"), candidate(server, clock, "b")
    await turn(a, b)
    led_alone = False
    for _ in range(60):
        clock.now += 1
        await turn(b)  # only b is answered
        assert not (a.leads() and b.leads())
        led_alone = led_alone or b.leads()
    assert led_alone
    server.away = False
    await turn(a)
    assert not a.leads()


async def test_a_leader_that_cannot_renew_stops_before_others_may_begin(server: Server, clock: Clock) -> None:
    a = candidate(server, clock, "a")
    await turn(a)
    server.away = True
    clock.now += LEASE_SECONDS - 1
    assert not a.leads()


async def test_whoever_ends_gives_the_lead_away_at_once(
    server: Server, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RENEW_SECONDS", 0.01)
    a, b = candidate(server, clock, "a"), candidate(server, clock, "b")
    task = asyncio.create_task(a.run())
    async with asyncio.timeout(5):
        await a.leading.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not a.leads()
    await turn(b)
    assert b.leads()


def said_to_lead() -> bool:
    """What the metric says."""
    [leads] = (metric for metric in recording.REGISTRY.collect() if metric.name.endswith("_leads"))
    return bool(leads.samples[0].value)


async def test_the_metric_ends_with_the_lead_when_the_time_is_over(server: Server, clock: Clock) -> None:
    a = candidate(server, clock, "a")
    await turn(a)
    assert said_to_lead()
    clock.now += LEASE_SECONDS - module.MARGIN_SECONDS + 1
    assert not a.leads()
    assert not said_to_lead()


@pytest.mark.parametrize("held", [True, False], ids=["with a Lease to give away", "after a lost answer"])
async def test_the_metric_ends_with_the_task(server: Server, clock: Clock, held: bool) -> None:
    a = candidate(server, clock, "a")
    task = asyncio.create_task(a.run())
    async with asyncio.timeout(5):
        await a.leading.wait()
    assert said_to_lead()
    if not held:
        a._held = None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not said_to_lead()
