"""Whether the auth stack that the resource asks for is the one that clients meet. Decides nothing else."""

from __future__ import annotations

from realtime_operator.objects import identity
from realtime_operator.plan import Finding, Verdict, some
from realtime_operator.snapshot import Fleet, Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

_SHOWN_PODS = 3


def stack(target: Target, snapshot: Snapshot) -> Verdict:
    """Say so when pods serve with another stack than the resource names; one that names none leaves it to them."""
    wanted = (target.written.get("auth") or {}).get("stack")
    if wanted is None or not isinstance(snapshot.fleet, Fleet):
        return Verdict()
    pods = {pod.name for pod in snapshot.pods_of(identity.GATEWAY) if not pod.deleting}
    used = {process.name: process.auth_stack for process in snapshot.fleet.processes if process.name in pods}
    others = sorted(name for name, auth_stack in used.items() if auth_stack not in (None, wanted))
    if not others:
        return Verdict()
    found = used[others[0]]
    why = (
        f"serve with the auth stack {found!r}, which their code or settings name"
        if found
        else "serve an application that gateway_application has not built"
    )
    remedy = "Build it by gateway_application without `auth` and AUTH_STACK, or take auth.stack out of the resource."
    message = f"The auth stack {wanted!r} has no effect: {some(others, _SHOWN_PODS)} {why}. {remedy}"
    return Verdict(findings=(Finding(reasons.DEGRADED, reasons.AUTH_NOT_APPLIED, message),))
