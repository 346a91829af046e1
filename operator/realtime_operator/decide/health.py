"""What stands in the way of pods: the words for it in the condition Degraded. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_operator.plan import Finding, Verdict
from realtime_operator.snapshot import WAITING_FOR_VOLUME, Manifest, Pod, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

_PULL = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
_UNPLACED = {"Unschedulable", "SchedulerError", WAITING_FOR_VOLUME}
_IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError", "cannot be imported", "does not import")
# Volumes are provisioned, nodes are freed and pods are made within this time, or somebody should look.
PATIENCE_SECONDS = 15.0


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
        look_again_seconds=PATIENCE_SECONDS / 3 if len(proven) < len(suspicions) else None,
    )


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
            reason = reasons.QUOTA_EXCEEDED if "exceeded quota" in message else reasons.REJECTED
            if "forbidden" in message and reason is reasons.REJECTED:
                reason = reasons.FORBIDDEN
            yield Finding(reasons.DEGRADED, reason, f"{key} cannot make its pods: {message}")


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
    for key, seen in sorted(snapshot.objects.items()):
        made, wanted = _made(seen)
        if made < wanted:
            # A StatefulSet has no condition for it, and the operator has no right to read events.
            refused = "its controller is refused the others, by a quota most often"
            message = f"{key} has {made} of {wanted} pods; {refused}: see `kubectl describe statefulset {key.name}`."
            yield f"{key} has too few pods", Finding(reasons.DEGRADED, reasons.QUOTA_EXCEEDED, message)


def _made(seen: Manifest) -> tuple[int, int]:
    """How many pods a StatefulSet's controller has made, and how many it knows that it should."""
    status = seen.get("status", {})
    if seen["kind"] != "StatefulSet" or status.get("observedGeneration") != seen["metadata"].get("generation"):
        return 0, 0
    return status.get("replicas", 0), seen["spec"]["replicas"]
