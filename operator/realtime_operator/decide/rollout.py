"""Where the gateway's and the workers' Deployments stand. Kubernetes rolls them; this only says so."""

from __future__ import annotations

from realtime_operator.objects import identity
from realtime_operator.plan import Finding, Verdict, some
from realtime_operator.snapshot import Manifest, ObjectKey, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

_PROCESSES = (identity.GATEWAY, identity.WORKER)
SHOWN_PODS = 5


def deployments(target: Target, snapshot: Snapshot) -> Verdict:
    """A finding for the first Deployment that is not yet what it should be."""
    names = [target.name, *(identity.worker_name(target, worker.name) for worker in target.spec.workers)]
    for name in names:
        seen = snapshot.objects.get(ObjectKey("Deployment", name))
        if seen is None:
            waiting = "is not made yet; its pods need a host list"
            return Verdict(
                findings=(Finding(reasons.PROGRESSING, reasons.PROVISIONING, f"Deployment {name} {waiting}."),)
            )
        message = unfinished(seen)
        if message:
            progress = Finding(reasons.PROGRESSING, reasons.ROLLING_OUT, f"Deployment {name}: {message}.")
            return Verdict(findings=(progress,))
    ending = [pod.name for component in _PROCESSES for pod in snapshot.pods_of(component) if pod.deleting]
    if not ending:
        return Verdict()
    message = f"Still closing connections: {some(ending, SHOWN_PODS)}."
    return Verdict(findings=(Finding(reasons.PROGRESSING, reasons.DRAINING, message),))


def unfinished(deployment: Manifest) -> str:
    """What a Deployment still waits for; empty when it is done."""
    spec, status = deployment.get("spec", {}), deployment.get("status", {})
    wanted = spec.get("replicas", 0)
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return "its controller has not seen the last change"
    if status.get("updatedReplicas", 0) < wanted:
        return f"{status.get('updatedReplicas', 0)} of {wanted} pods are new"
    if status.get("replicas", 0) > status.get("updatedReplicas", 0):
        return f"{status['replicas'] - status.get('updatedReplicas', 0)} old pods are to end"
    if status.get("availableReplicas", 0) < wanted:
        return f"{status.get('availableReplicas', 0)} of {wanted} pods are available"
    return ""
