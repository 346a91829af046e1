"""Why a pod does not get beyond ContainerCreating: what its kubelet cannot mount, it says in events and nowhere else.

So a Secret that is missing is known by its name and key, and nobody but the kubelet has read one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from realtime_operator.kube.client import KubeClient
from realtime_operator.observe.event_notes import EventNotes
from realtime_operator.snapshot import CREATING_SECONDS, Snapshot, being_created


class FailedMounts:
    """Asks for the events of pods that have been in the making for a while."""

    def __init__(self, client: KubeClient, clock: Callable[[], float]) -> None:
        self._notes = EventNotes(client, "FailedMount", clock)

    async def look(self, namespace: str, snapshot: Snapshot) -> Mapping[str, str]:
        """Return what the kubelets say of those pods, by the pod's name."""
        waiting = {
            pod.name: pod.uid
            for _, pod in snapshot.pods
            if pod.creating and snapshot.held(being_created(pod)) >= CREATING_SECONDS
        }
        notes = await self._notes.newest(namespace, list(waiting.values()))
        return {name: notes[uid] for name, uid in waiting.items() if uid in notes}
