"""What kubelets say of pods that do not start: asked of those alone that have been in the making for a while."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.operator.observe.test_refused_pods import Events

from realtime_operator.observe.event_notes import ASK_AGAIN_SECONDS
from realtime_operator.observe.failed_mounts import FailedMounts
from realtime_operator.snapshot import CREATING_SECONDS, Pod, Snapshot, being_created

NOTE = 'MountVolume.SetUp failed for volume "secrets" : secret "layer" not found'


def seen(*, creating: bool = True, held_seconds: float = CREATING_SECONDS) -> Snapshot:
    pod = Pod("chat-1", "u1", ready=False, creating=creating)
    return Snapshot(pods=(("gateway", pod),), held_seconds={being_created(pod): held_seconds})


def looking(events: Events) -> FailedMounts:
    return FailedMounts(events, lambda: events.now)  # type: ignore[arg-type] # all of the client that it uses


@pytest.mark.parametrize("snapshot", [seen(creating=False), seen(held_seconds=CREATING_SECONDS - 1)])
async def test_nobody_is_asked_of_a_pod_that_starts(snapshot: Snapshot) -> None:
    events = Events({"note": NOTE})
    assert await looking(events).look("here", snapshot) == {}
    assert events.asked == []


async def test_a_pod_that_does_not_start_is_asked_of_by_its_uid_once_in_a_while() -> None:
    events = Events({"note": NOTE})
    mounts = looking(events)
    for _ in range(5):
        assert await mounts.look("here", seen()) == {"chat-1": NOTE}
    chosen: dict[str, Any] = {"regarding.uid": "u1", "reason": "FailedMount"}
    assert events.asked == [("Event", ("here",), chosen)]
    events.now += ASK_AGAIN_SECONDS
    await mounts.look("here", seen())
    assert len(events.asked) == 2


async def test_without_an_event_nothing_is_said() -> None:
    assert await looking(Events()).look("here", seen()) == {}
