"""Whether the auth stack that the resource asks for is the one that clients meet. Decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from realtime_gateway.resource.spec import Auth
from realtime_operator.decide.rollout import unfinished
from realtime_operator.objects import identity
from realtime_operator.plan import Finding, Verdict, some
from realtime_operator.snapshot import Fleet, ObjectKey, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

_SHOWN_PODS = 3


def stack(target: Target, snapshot: Snapshot) -> Verdict:
    """Say so when pods serve with another stack than the resource names.

    The default is as good as no name: the API server writes it into every resource, and applications that are written
    by hand never asked for it. Nor is anything said of a roll, of which the earlier pods serve as was asked of them.
    """
    wanted = target.spec.auth.stack
    deployment = snapshot.objects.get(ObjectKey("Deployment", target.name))
    if wanted == Auth().stack or deployment is None or unfinished(deployment):
        return Verdict()
    others = dict(_others(wanted, snapshot))
    if not others:
        return Verdict()
    found = next(iter(others.values()))
    why = (
        f"serve with the auth stack {found!r}, which their code or settings name"
        if found
        else "serve an application that gateway_application has not built"
    )
    remedy = "Build it by gateway_application without `auth` and AUTH_STACK, or take auth.stack out of the resource."
    message = f"The auth stack {wanted!r} has no effect: {some(tuple(others), _SHOWN_PODS)} {why}. {remedy}"
    return Verdict(findings=(Finding(reasons.DEGRADED, reasons.AUTH_NOT_APPLIED, message),))


def _others(wanted: str, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
    """Pods in which no process uses the stack and one says so: commands that run beside the server know of none."""
    fleet = snapshot.fleet
    if not isinstance(fleet, Fleet):
        return
    for pod in sorted(pod.name for pod in snapshot.pods_of(identity.GATEWAY) if not pod.deleting):
        used = {one.auth_stack for one in fleet.processes if one.name == pod and one.auth_stack is not None}
        if used and wanted not in used:
            yield pod, max(used)
