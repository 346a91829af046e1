"""What controllers without pods were answered: asked when it matters, seldom, and the newest of it."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_operator.kube.errors import KubeError
from realtime_operator.observe.event_notes import ASK_AGAIN_SECONDS
from realtime_operator.observe.refused_pods import RefusedPods
from realtime_operator.snapshot import PATIENCE_SECONDS, ObjectKey, Snapshot, too_few_pods

KEY = ObjectKey("StatefulSet", "chat-redis-0")


class Events:
    """An API server that knows some events, and counts who asks."""

    def __init__(self, *events: dict[str, Any] | KubeError) -> None:
        self.events = events
        self.asked: list[Any] = []
        self.now = 100.0

    async def list(self, kind: str, namespaces: tuple[str, ...], fields: dict[str, str]) -> list[Any]:
        self.asked.append((kind, namespaces, fields))
        if self.events and isinstance(self.events[0], KubeError):
            raise self.events[0]
        return list(self.events)


def looking(events: Events) -> RefusedPods:
    return RefusedPods(events, lambda: events.now)  # type: ignore[arg-type] # all of the client that it uses


def seen(made: int, held_seconds: float = PATIENCE_SECONDS) -> Snapshot:
    objects = {
        KEY: {
            "metadata": {"generation": 1, "uid": "u1"},
            "spec": {"replicas": 3},
            "status": {"observedGeneration": 1, "replicas": made},
        }
    }
    return Snapshot(objects=objects, held_seconds={too_few_pods(KEY): held_seconds})


@pytest.mark.parametrize("snapshot", [seen(3), seen(1, PATIENCE_SECONDS - 1)], ids=["no trouble", "may pass by itself"])
async def test_nobody_is_asked_without_trouble(snapshot: Snapshot) -> None:
    events = Events({"note": "no"})
    assert await looking(events).look("here", snapshot) == {}
    assert events.asked == []


async def test_the_newest_event_counts_however_it_says_its_time() -> None:
    events = Events(
        {"note": "first", "deprecatedLastTimestamp": "2030-01-01T00:00:01Z"},
        {"note": "last", "eventTime": "2030-01-01T00:00:00Z", "series": {"lastObservedTime": "2030-01-01T00:00:09Z"}},
        {"note": "second", "deprecatedLastTimestamp": None, "eventTime": "2030-01-01T00:00:02Z", "series": None},
    )
    assert await looking(events).look("here", seen(1)) == {KEY: "last"}
    chosen = {"regarding.uid": "u1", "reason": "FailedCreate"}
    assert events.asked == [("Event", ("here",), chosen)], "events of an earlier set of the name live for an hour"


@pytest.mark.parametrize("found", [[], [{"note": "no"}], [KubeError(403, "forbidden")]], ids=["none", "one", "refused"])
async def test_pass_after_pass_asks_once_in_a_while(found: list[Any]) -> None:
    events = Events(*found)
    refused = looking(events)
    for _ in range(10):
        await refused.look("here", seen(1))
    assert len(events.asked) == 1
    events.now += ASK_AGAIN_SECONDS
    await refused.look("here", seen(1))
    assert len(events.asked) == 2


async def test_what_is_over_is_forgotten() -> None:
    events = Events({"note": "no"})
    refused = looking(events)
    assert await refused.look("here", seen(1)) == {KEY: "no"}
    assert await refused.look("here", seen(3)) == {}
    events.events = ({"note": "another"},)
    assert await refused.look("here", seen(1)) == {KEY: "another"}
