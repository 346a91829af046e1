"""Why a StatefulSet's controller makes no pods: it says so in events and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import PATIENCE_SECONDS, Manifest, ObjectKey, Snapshot, too_few_pods

# A controller tries again after ever longer times, while Redis without its pods makes a pass every second.
ASK_AGAIN_SECONDS = 15.0


class Answer(NamedTuple):
    """What a controller was answered last, as was known at a time; empty when it had not said so."""

    asked_at: float
    text: str


class RefusedPods:
    """Asks for the events of controllers that have been short of pods for a while; without trouble nothing is asked."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[ObjectKey, Answer] = {}

    async def look(self, namespace: str, snapshot: Snapshot) -> Mapping[ObjectKey, str]:
        """Return what those controllers were answered that have said so."""
        short = [key for key, _, _ in snapshot.short_of_pods() if snapshot.held(too_few_pods(key)) >= PATIENCE_SECONDS]
        self._answers = {key: self._answers.get(key) or await self._ask(namespace, key) for key in short}
        for key, answer in self._answers.items():
            if self._clock() - answer.asked_at >= ASK_AGAIN_SECONDS:
                self._answers[key] = await self._ask(namespace, key)
        return {key: answer.text for key, answer in self._answers.items() if answer.text}

    async def _ask(self, namespace: str, key: ObjectKey) -> Answer:
        chosen = {"regarding.kind": key.kind, "regarding.name": key.name, "reason": "FailedCreate"}
        try:
            events = await self._client.list("Event", (namespace,), fields=chosen)
        except KubeError:
            events = []  # the condition says as much as is known without
        newest = max(events, key=_seen_at, default={})
        return Answer(self._clock(), str(newest.get("note", "")))


def _seen_at(event: Manifest) -> str:
    """When an event was seen last; a controller that repeats one counts it, in either of two forms."""
    series = event.get("series") or {}
    times = (event.get("deprecatedLastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((str(time) for time in times if time), default="")
