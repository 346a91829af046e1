"""The order of all decisions: one line per check."""

from __future__ import annotations

from collections.abc import Callable

from realtime_operator.decide import auth, certificates, epochs, health, mounts, ownership, redis, rollout, upgrade
from realtime_operator.plan import Finding, Plan, Verdict, merge
from realtime_operator.snapshot import Snapshot
from realtime_operator.status import reasons
from realtime_operator.target import Target

Check = Callable[[Target, Snapshot], Verdict]


def paused(target: Target, snapshot: Snapshot) -> Verdict:
    """Whoever pauses a resource finds it exactly as it was left."""
    if not (target.paused or target.spec.suspend):
        return Verdict()
    how = "spec.suspend is set" if target.spec.suspend else "the pause annotation is set"
    return Verdict(findings=(Finding(reasons.PAUSED, reasons.SUSPENDED, f"Nothing is changed: {how}."),), stop=True)


CHECKS: tuple[Check, ...] = (
    paused,
    certificates.of_redis,
    health.pods,
    mounts.failed,
    ownership.passwords,
    ownership.in_place,
    redis.shards,
    epochs.hosts,
    rollout.deployments,
    upgrade.redis_pods,
    redis.forgotten,
    ownership.prune,
    auth.stack,
)


def decide(target: Target, snapshot: Snapshot) -> Plan:
    """Run the checks in order into one plan."""
    verdicts: list[Verdict] = []
    for check in CHECKS:
        verdicts.append(check(target, snapshot))
        if verdicts[-1].stop:
            break
    together = merge(tuple(verdicts))
    return Plan(together.actions, together.findings, together.facts, together.look_again_seconds)
