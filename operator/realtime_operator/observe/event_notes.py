"""What was said last of an object in events: asked when it matters, and seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import Manifest

# Who says something tries again after ever longer times, while a pass may come every second.
ASK_AGAIN_SECONDS = 15.0
# A pass waits for it.
ASKING_SECONDS = 2.0


class Answer(NamedTuple):
    """What was said last, as was known at a time; empty when nothing was."""

    asked_at: float
    text: str


class EventNotes:
    """Asks for the newest event of one reason of each object.

    Args:
        reason: of the events.
        clock: in seconds.
    """

    def __init__(self, client: KubeClient, reason: str, clock: Callable[[], float]) -> None:
        self._client = client
        self._reason = reason
        self._clock = clock
        self._answers: dict[str, Answer] = {}  # by the uid of the object

    async def newest(self, namespace: str, uids: Collection[str]) -> Mapping[str, str]:
        """Return what was said of those of these objects that something was said of; forget all others."""
        self._answers = {uid: answer for uid, answer in self._answers.items() if uid in uids}
        due = [uid for uid in uids if self._is_due(uid)]
        answers = await asyncio.gather(*(self._ask(namespace, uid) for uid in due))
        self._answers.update(zip(due, answers, strict=True))
        return {uid: answer.text for uid, answer in self._answers.items() if answer.text}

    def _is_due(self, uid: str) -> bool:
        answer = self._answers.get(uid)
        return answer is None or self._clock() - answer.asked_at >= ASK_AGAIN_SECONDS

    async def _ask(self, namespace: str, uid: str) -> Answer:
        # By its uid: events of an earlier one of the same name live for an hour.
        chosen = {"regarding.uid": uid, "reason": self._reason}
        events: list[Manifest] = []
        with suppress(KubeError, TimeoutError):  # the condition says as much as is known without
            async with asyncio.timeout(ASKING_SECONDS):
                events += await self._client.list("Event", (namespace,), fields=chosen)
        last = max(events, key=_seen_at, default={})
        return Answer(self._clock(), str(last.get("note", "")))


def _seen_at(event: Manifest) -> str:
    """When an event was seen last; whoever repeats one counts it, in either of two forms."""
    series = event.get("series") or {}
    times = (event.get("deprecatedLastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((str(time) for time in times if time), default="")
