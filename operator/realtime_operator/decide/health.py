"""What stands in the way of pods: the words for it in the condition Degraded. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.plan import Finding, Verdict
from realtime_operator.snapshot import (
    PATIENCE_SECONDS,
    WAITING_FOR_VOLUME,
    Manifest,
    ObjectKey,
    Pod,
    Snapshot,
    too_few_pods,
)
from realtime_operator.status import reasons
from realtime_operator.target import Target

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_UNPLACED = {"Unschedulable", "SchedulerError", WAITING_FOR_VOLUME}
_IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "cannot be imported", "does not import")


def pods(target: Target, snapshot: Snapshot) -> Verdict:
    """The first trouble of each kind that pods, or the controllers that make them, report."""
    suspicions = tuple(_suspicions(snapshot))
    proven = [finding for fact, finding in suspicions if snapshot.held(fact) >= PATIENCE_SECONDS]
    found: dict[str, Finding] = {}
    for finding in (*_pods(snapshot), *_controllers(snapshot), *proven):
        found.setdefault(finding.reason, finding)
    return Verdict(
        findings=tuple(found.values()),
        facts=frozenset(fact for fact, _ in suspicions),
        look_again_seconds=_look_again_seconds(snapshot, len(proven) < len(suspicions)),
    )


def _look_again_seconds(snapshot: Snapshot, unproven: bool) -> float | None:
    """When to look again: a controller says why it makes no pods at its next try, which wakes nobody here."""
    if unproven:
        return PATIENCE_SECONDS / 3
    return PATIENCE_SECONDS if any(snapshot.short_of_pods()) else None


def _pods(snapshot: Snapshot) -> Iterator[Finding]:
    for _, pod in snapshot.pods:
        reason = _reason(pod)
        if reason and not pod.deleting:
            yield _of_pod(pod, reason)


def _reason(pod: Pod) -> str:
    if pod.trouble in _PULL:
        return reasons.IMAGE_PULL
    if pod.crashes:
        imports = any(word in pod.message for word in _IMPORT_ERRORS)
        return reasons.APPLICATION_IMPORT if imports else reasons.CRASH_LOOP
    return ""


def _of_pod(pod: Pod, reason: str) -> Finding:
    return Finding(reasons.DEGRADED, reason, f"Pod {pod.name}: {pod.trouble}. {pod.message}".strip())


def _controllers(snapshot: Snapshot) -> Iterator[Finding]:
    for key, seen in sorted(snapshot.objects.items()):
        message = _replica_failure(seen)
        if message:
            yield _refused(key, message)


def _refused(key: ObjectKey, message: str) -> Finding:
    """What an API server's refusal of a controller's pods means."""
    if "exceeded quota" in message:
        reason = reasons.QUOTA_EXCEEDED
    else:
        reason = reasons.FORBIDDEN if "forbidden" in message else reasons.REJECTED
    return Finding(reasons.DEGRADED, reason, f"{key} cannot make its pods: {message}")


def _replica_failure(seen: Manifest) -> str:
    for condition in seen.get("status", {}).get("conditions", ()):
        if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
            return str(condition.get("message", ""))
    return ""


def _suspicions(snapshot: Snapshot) -> Iterator[tuple[str, Finding]]:
    """What is trouble only once it has held for a while: the fact, and what to say of it then."""
    for _, pod in snapshot.pods:
        if pod.trouble in _UNPLACED and not pod.deleting:
            text = pod.message.lower()
            of_volume = "persistentvolumeclaim" in text or "storageclass" in text
            reason = reasons.VOLUME_PENDING if of_volume else reasons.UNSCHEDULABLE
            yield f"pod {pod.name} waits: {reason}", _of_pod(pod, reason)
    for key, made, wanted in snapshot.short_of_pods():
        answer = snapshot.refused_pods.get(key)
        hint = f"see `kubectl describe statefulset {key.name}`"
        silent = f"{key} has {made} of {wanted} pods, and its controller says nothing of the others: {hint}."
        missing = Finding(reasons.DEGRADED, reasons.PODS_MISSING, silent)
        yield too_few_pods(key), _refused(key, answer) if answer else missing
