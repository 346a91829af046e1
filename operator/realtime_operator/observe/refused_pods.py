"""Why a StatefulSet's controller makes no pods: it says so in events and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from realtime_operator.kube.client import KubeClient
from realtime_operator.observe.event_notes import EventNotes
from realtime_operator.snapshot import PATIENCE_SECONDS, ObjectKey, Snapshot, too_few_pods


class RefusedPods:
    """Asks for the events of controllers that have been short of pods for a while; without trouble nothing is asked."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._notes = EventNotes(client, "FailedCreate", clock)

    async def look(self, namespace: str, snapshot: Snapshot) -> Mapping[ObjectKey, str]:
        """Return what those controllers were answered that have said so."""
        short = {
            key: str(snapshot.objects[key]["metadata"]["uid"])
            for key, _, _ in snapshot.short_of_pods()
            if snapshot.held(too_few_pods(key)) >= PATIENCE_SECONDS
        }
        notes = await self._notes.newest(namespace, list(short.values()))
        return {key: notes[uid] for key, uid in short.items() if uid in notes}
