"""Pods as the API server shows them, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from realtime_operator.objects.identity import COMPONENT_LABEL
from realtime_operator.snapshot import WAITING_FOR_VOLUME, Manifest, Pod

_LAST_WORDS = 400
# A container that is not ready after so many restarts goes on crashing, also in the moments in which it runs.
_CRASHES = 2


def pod_of(seen: Manifest) -> Pod:
    """What matters of a pod."""
    metadata, status = seen["metadata"], seen.get("status", {})
    labels = metadata.get("labels", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", ())}
    trouble, message = _trouble(seen, conditions)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        revision=labels.get("controller-revision-hash") or labels.get("pod-template-hash", ""),
        trouble=trouble,
        message=message,
        creating=_is_creating(status, conditions),
    )


def pods_by_component(seen: Iterable[Manifest]) -> tuple[tuple[str, Pod], ...]:
    """Pods with the component that each belongs to, in the order of their names."""
    found = [(str(pod["metadata"].get("labels", {}).get(COMPONENT_LABEL, "")), pod_of(pod)) for pod in seen]
    return tuple(sorted(found, key=lambda entry: entry[1].name))


def _trouble(seen: Manifest, conditions: Mapping[str, Any]) -> tuple[str, str]:
    status = seen.get("status", {})
    for container in status.get("containerStatuses", ()):
        trouble, message = _container_trouble(container)
        if trouble:
            return trouble, _tail(message)
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason", "")), _tail(scheduled.get("message", ""))
    if not scheduled and status.get("phase") == "Pending" and (claims := _claims(seen)):
        # The scheduler has chosen a node and says nothing until the volumes are there (binding WaitForFirstConsumer).
        return WAITING_FOR_VOLUME, f"PersistentVolumeClaim {', '.join(claims)} is not bound."
    return "", ""


def _is_creating(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    # Volumes come before the sandbox. Once that stands, an image is pulled under the same word, ContainerCreating.
    if conditions.get("PodReadyToStartContainers", {}).get("status") == "True":
        return False
    containers = status.get("containerStatuses", ())
    return any(one.get("state", {}).get("waiting", {}).get("reason") == "ContainerCreating" for one in containers)


def _container_trouble(container: Mapping[str, Any]) -> tuple[str, str]:
    waiting = container.get("state", {}).get("waiting", {})
    ended = container.get("lastState", {}).get("terminated", {})
    reason = waiting.get("reason", "")
    if reason and reason not in {"ContainerCreating", "PodInitializing"}:
        return reason, ended.get("message") or waiting.get("message", "")
    if not container.get("ready") and container.get("restartCount", 0) >= _CRASHES and ended.get("exitCode"):
        return "CrashLoopBackOff", ended.get("message", "")
    return "", ""


def _claims(seen: Manifest) -> list[str]:
    volumes = seen.get("spec", {}).get("volumes", ())
    return [
        str(volume["persistentVolumeClaim"]["claimName"]) for volume in volumes if "persistentVolumeClaim" in volume
    ]


def _tail(text: str) -> str:
    return text.strip()[-_LAST_WORDS:]
