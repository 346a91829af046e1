"""Why a StatefulSet's controller makes no pods: it says so in events and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import PATIENCE_SECONDS, Manifest, ObjectKey, Snapshot, too_few_pods

# A controller tries again after ever longer times, while Redis without its pods makes a pass every second.
ASK_AGAIN_SECONDS = 15.0
# A pass waits for it.
ASKING_SECONDS = 2.0


class Answer(NamedTuple):
    """What a controller was answered last, as was known at a time; empty when it had not said so."""

    asked_at: float
    text: str


class RefusedPods:
    """Asks for the events of controllers that have been short of pods for a while; without trouble nothing is asked."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._answers: dict[str, Answer] = {}  # by the uid of the StatefulSet

    async def look(self, namespace: str, snapshot: Snapshot) -> Mapping[ObjectKey, str]:
        """Return what those controllers were answered that have said so."""
        short = {
            key: str(snapshot.objects[key]["metadata"]["uid"])
            for key, _, _ in snapshot.short_of_pods()
            if snapshot.held(too_few_pods(key)) >= PATIENCE_SECONDS
        }
        self._answers = {uid: answer for uid, answer in self._answers.items() if uid in short.values()}
        due = [uid for uid in short.values() if self._is_due(uid)]
        answers = await asyncio.gather(*(self._ask(namespace, uid) for uid in due))
        self._answers.update(zip(due, answers, strict=True))
        found = {key: self._answers[uid].text for key, uid in short.items()}
        return {key: text for key, text in found.items() if text}

    def _is_due(self, uid: str) -> bool:
        answer = self._answers.get(uid)
        return answer is None or self._clock() - answer.asked_at >= ASK_AGAIN_SECONDS

    async def _ask(self, namespace: str, uid: str) -> Answer:
        # By its uid: events of an earlier one of the same name live for an hour.
        chosen = {"regarding.uid": uid, "reason": "FailedCreate"}
        events: list[Manifest] = []
        with suppress(KubeError, TimeoutError):  # the condition says as much as is known without
            async with asyncio.timeout(ASKING_SECONDS):
                events += await self._client.list("Event", (namespace,), fields=chosen)
        newest = max(events, key=_seen_at, default={})
        return Answer(self._clock(), str(newest.get("note", "")))


def _seen_at(event: Manifest) -> str:
    """When an event was seen last; a controller that repeats one counts it, in either of two forms."""
    series = event.get("series") or {}
    times = (event.get("deprecatedLastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((str(time) for time in times if time), default="")
