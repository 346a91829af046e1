"""Why a StatefulSet's controller makes no pods: it says so in events and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.kube.client import KubeClient
from realtime_operator.kube.errors import KubeError
from realtime_operator.snapshot import PATIENCE_SECONDS, Manifest, ObjectKey, Snapshot, too_few_pods


async def refused_pods(client: KubeClient, namespace: str, snapshot: Snapshot) -> Mapping[ObjectKey, str]:
    """Return what the controllers that have been short of pods for a while were answered; without trouble, no call."""
    found = {}
    for key, _, _ in snapshot.short_of_pods():
        if snapshot.held(too_few_pods(key)) < PATIENCE_SECONDS:
            continue
        chosen = {"regarding.kind": key.kind, "regarding.name": key.name, "reason": "FailedCreate"}
        try:
            events = await client.list("Event", (namespace,), fields=chosen)
        except KubeError:
            continue  # the condition says as much as is known without
        if events:
            found[key] = str(max(events, key=_seen_at).get("note", ""))
    return found


def _seen_at(event: Manifest) -> str:
    """When an event was seen last; a controller that repeats one counts it, in either of two forms."""
    series = event.get("series") or {}
    times = (event.get("deprecatedLastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((str(time) for time in times if time), default="")
