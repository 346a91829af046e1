"""What stands in the way of pods: the words for it in the condition Degraded. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.plan import Finding, Verdict
from realtime_operator.snapshot import Manifest, Pod, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_CRASH = {"CrashLoopBackOff", "RunContainerError", "CreateContainerError", "CreateContainerConfigError", "Error"}
_IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "cannot be imported", "does not import")


def pods(target: Target, snapshot: Snapshot) -> Verdict:
    """The first trouble of each kind that pods, or the controllers that make them, report."""
    found: dict[str, Finding] = {}
    for finding in (*_pods(snapshot), *_controllers(snapshot)):
        found.setdefault(finding.reason, finding)
    return Verdict(findings=tuple(found.values()))


def _pods(snapshot: Snapshot) -> Iterator[Finding]:
    for _, pod in snapshot.pods:
        reason = _reason(pod)
        if reason and not pod.deleting:
            yield Finding(reasons.DEGRADED, reason, f"Pod {pod.name}: {pod.trouble}. {pod.message}".strip())


def _reason(pod: Pod) -> str:
    if pod.trouble in _PULL:
        return reasons.IMAGE_PULL
    if pod.trouble in _CRASH:
        imports = any(word in pod.message for word in _IMPORT_ERRORS)
        return reasons.APPLICATION_IMPORT if imports else reasons.CRASH_LOOP
    if pod.trouble == "Unschedulable" and "PersistentVolumeClaim" in pod.message:
        return reasons.VOLUME_PENDING
    return ""


def _controllers(snapshot: Snapshot) -> Iterator[Finding]:
    for key, seen in sorted(snapshot.objects.items()):
        message = _replica_failure(seen)
        if message:
            reason = reasons.QUOTA_EXCEEDED if "exceeded quota" in message else reasons.REJECTED
            if "forbidden" in message and reason is reasons.REJECTED:
                reason = reasons.FORBIDDEN
            yield Finding(reasons.DEGRADED, reason, f"{key} cannot make its pods: {message}")


def _replica_failure(seen: Manifest) -> str:
    for condition in seen.get("status", {}).get("conditions", ()):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message", ""))
    return ""
