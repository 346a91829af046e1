"""Pods as the API server shows them, in few words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from realtime_operator.objects.identity import COMPONENT_LABEL
from realtime_operator.snapshot import Manifest, Pod

_LAST_WORDS = 400


def pod_of(seen: Manifest) -> Pod:
    """What matters of a pod."""
    metadata, status = seen["metadata"], seen.get("status", {})
    labels = metadata.get("labels", {})
    conditions = {entry["type"]: entry for entry in status.get("conditions", ())}
    trouble, message = _trouble(status, conditions)
    return Pod(
        name=metadata["name"],
        uid=metadata["uid"],
        ready=conditions.get("Ready", {}).get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        revision=labels.get("controller-revision-hash") or labels.get("pod-template-hash", ""),
        trouble=trouble,
        message=message,
    )


def pods_by_component(seen: Iterable[Manifest]) -> tuple[tuple[str, Pod], ...]:
    """Pods with the component that each belongs to, in the order of their names."""
    found = [(str(pod["metadata"].get("labels", {}).get(COMPONENT_LABEL, "")), pod_of(pod)) for pod in seen]
    return tuple(sorted(found, key=lambda entry: entry[1].name))


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, Any]) -> tuple[str, str]:
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting", {})
        reason = waiting.get("reason", "")
        if reason and reason not in {"ContainerCreating", "PodInitializing"}:
            ended = container.get("lastState", {}).get("terminated", {})
            return reason, _tail(ended.get("message") or waiting.get("message", ""))
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason", "")), _tail(scheduled.get("message", ""))
    return "", ""


def _tail(text: str) -> str:
    return text.strip()[-_LAST_WORDS:]
