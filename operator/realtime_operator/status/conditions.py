"""Conditions, from what was seen, decided and done. Pure: the time of a transition is taken over or handed in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from realtime_operator.objects import exposure, identity
from realtime_operator.plan import Outcome, Plan
from realtime_operator.snapshot import Fleet, Manifest, ObjectKey, Role, Server, Shard, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

LONGEST_MESSAGE = 1024
Status = dict[str, Any]


class Condition(NamedTuple):
    """One condition before it has a time."""

    type: str
    status: str
    reason: str
    message: str


def status_of(
    target: Target,
    snapshot: Snapshot,
    plan: Plan,
    outcomes: Sequence[Outcome],
    before: Mapping[str, Any],
    now: str,
) -> Status:
    """The whole status of a resource; what has not changed keeps its times."""
    found = conditions(target, snapshot, plan, outcomes)
    deployment = snapshot.objects.get(ObjectKey("Deployment", target.name), {})
    status: Status = {
        "observedGeneration": target.generation,
        "phase": phase(found),
        "replicas": deployment.get("status", {}).get("replicas", 0),
        "selector": ",".join(f"{k}={v}" for k, v in sorted(identity.selector(target, identity.GATEWAY).items())),
        "conditions": timed(found, target.generation, before.get("conditions", ()), now),
        "shards": [_shard(shard, snapshot) for shard in snapshot.shards],
    }
    if url := exposure.url(target):
        status["url"] = url
    hosts = snapshot.hosts
    if hosts is not None and not isinstance(hosts, Unknown):
        processes = snapshot.fleet.processes if isinstance(snapshot.fleet, Fleet) else ()
        status["hosts"] = {
            "epoch": max(hosts.epoch, snapshot.status_epoch),
            "shards": [shard.name for shard in hosts.shards],
        }
        if target.spec.redis.managed is not None:
            status["hosts"]["podsAtEpoch"] = sum(process.epoch >= hosts.epoch for process in processes)
    if isinstance(snapshot.fleet, Fleet):
        status["connections"] = snapshot.fleet.connections
    return status


def invalid_status(target_generation: int, problems: str, before: Mapping[str, Any], now: str) -> Status:
    """The status of a resource that cannot be used as it is: nothing of what runs is touched."""
    found = (
        Condition(reasons.READY, "False", reasons.INVALID_SPEC, problems[:LONGEST_MESSAGE]),
        Condition(reasons.PROGRESSING, "False", reasons.INVALID_SPEC, "Nothing is changed until the spec is valid."),
    )
    kept = [entry for entry in before.get("conditions", ()) if entry["type"] not in {one.type for one in found}]
    timed_now = timed(found, target_generation, before.get("conditions", ()), now)
    return {
        "observedGeneration": target_generation,
        "phase": "Invalid",
        "conditions": sorted([*timed_now, *kept], key=lambda entry: str(entry["type"])),
    }


def unsighted_status(message: str, before: Mapping[str, Any], generation: int, now: str) -> Status:
    """The status of a resource while the operator may not see all that belongs to it: what else was known stays."""
    degraded = Condition(reasons.DEGRADED, "True", reasons.FORBIDDEN, message[:LONGEST_MESSAGE])
    kept = [entry for entry in before.get("conditions", ()) if entry["type"] != reasons.DEGRADED]
    told = timed((degraded,), generation, before.get("conditions", ()), now)
    return {"phase": "Degraded", "conditions": sorted([*told, *kept], key=lambda entry: str(entry["type"]))}


def conditions(target: Target, snapshot: Snapshot, plan: Plan, outcomes: Sequence[Outcome]) -> tuple[Condition, ...]:
    """All conditions."""
    return (
        _degraded(plan, outcomes),
        _from_finding(
            plan,
            reasons.HOSTS_SYNCED,
            reasons.SYNCED,
            "Every process that has used the channel layer uses the present host list.",
        ),
        _paused(plan),
        _progressing(plan),
        _ready(target, snapshot),
        _redis(target, plan),
    )


def phase(found: Iterable[Condition]) -> str:
    """One word for people."""
    by_type = {condition.type: condition for condition in found}
    if by_type[reasons.PAUSED].status == "True":
        return "Paused"
    if by_type[reasons.DEGRADED].status == "True":
        return "Degraded"
    if by_type[reasons.PROGRESSING].status == "True":
        return by_type[reasons.PROGRESSING].reason
    return "Ready" if by_type[reasons.READY].status == "True" else "Pending"


def timed(
    found: Sequence[Condition], generation: int, before: Sequence[Mapping[str, Any]], now: str
) -> list[dict[str, Any]]:
    """Conditions as they stand in a status; the time changes only with the status of a condition."""
    known = {entry["type"]: entry for entry in before}
    result = []
    for condition in sorted(found):
        old = known.get(condition.type, {})
        since = old["lastTransitionTime"] if old.get("status") == condition.status else now
        result.append({**condition._asdict(), "observedGeneration": generation, "lastTransitionTime": since})
    return result


def _ready(target: Target, snapshot: Snapshot) -> Condition:
    dark = [shard.name for shard in _listed(snapshot) if _primary(shard) == ""]
    if dark:
        return Condition(reasons.READY, "False", reasons.REDIS_UNAVAILABLE, f"{', '.join(dark)} have no primary.")
    names = [target.name, *(identity.worker_name(target, worker.name) for worker in target.spec.workers)]
    for name in names:
        seen = snapshot.objects.get(ObjectKey("Deployment", name))
        short = "is not made yet" if seen is None else _short(seen)
        if short:
            message = f"Deployment {name} {short}."
            return Condition(reasons.READY, "False", reasons.GATEWAY_UNAVAILABLE, message)
    return Condition(reasons.READY, "True", reasons.ALL_SERVING, "Every pod that is wanted serves.")


def _short(deployment: Manifest) -> str:
    """What a Deployment lacks to serve. Pods count as soon as they are ready: `available` waits for a roll's pace."""
    wanted = deployment["spec"].get("replicas", 0)
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    return "" if ready >= wanted else f"has {ready} of {wanted} pods ready"


def _listed(snapshot: Snapshot) -> list[Shard]:
    """The shards that the present host list names; all of them while there is none."""
    hosts = snapshot.hosts
    if hosts is None or isinstance(hosts, Unknown):
        return list(snapshot.shards)
    names = {shard.name for shard in hosts.shards}
    return [shard for shard in snapshot.shards if shard.name in names]


def _degraded(plan: Plan, outcomes: Sequence[Outcome]) -> Condition:
    failed = [outcome for outcome in outcomes if not outcome.done and outcome.reason not in _NOT_DEGRADED]
    if failed:
        # What a person must change comes before what may pass by itself.
        first = next((outcome for outcome in failed if outcome.permanent), failed[0])
        return Condition(reasons.DEGRADED, "True", first.reason, first.message[:LONGEST_MESSAGE])
    finding = plan.finding(reasons.DEGRADED)
    if finding is not None:
        return Condition(reasons.DEGRADED, "True", finding.reason, finding.message[:LONGEST_MESSAGE])
    return Condition(reasons.DEGRADED, "False", reasons.NOT_DEGRADED, "Nothing stands in the way.")


# Troubles that conditions of their own, or the next pass a moment later, speak of.
_NOT_DEGRADED = {reasons.REDIS_UNAVAILABLE, reasons.API_UNAVAILABLE}


def _progressing(plan: Plan) -> Condition:
    finding = plan.finding(reasons.PROGRESSING)
    if finding is None:
        return Condition(reasons.PROGRESSING, "False", reasons.SETTLED, "All is as it should be.")
    return Condition(reasons.PROGRESSING, "True", finding.reason, finding.message)


def _paused(plan: Plan) -> Condition:
    finding = plan.finding(reasons.PAUSED)
    if finding is None:
        return Condition(reasons.PAUSED, "False", reasons.RUNNING, "Changes are carried out.")
    return Condition(reasons.PAUSED, "True", finding.reason, finding.message)


def _redis(target: Target, plan: Plan) -> Condition:
    if target.spec.redis.managed is None:
        return Condition(reasons.REDIS_HEALTHY, "Unknown", reasons.EXTERNAL, "The shards are run by somebody else.")
    message = "Every shard has its primary, its replicas and its Sentinels."
    return _from_finding(plan, reasons.REDIS_HEALTHY, reasons.HEALTHY, message)


def _from_finding(plan: Plan, type: str, reason: str, message: str) -> Condition:
    finding = plan.finding(type)
    if finding is None:
        return Condition(type, "True", reason, message)
    status = "Unknown" if finding.reason == reasons.UNKNOWN else "False"
    return Condition(type, status, finding.reason, finding.message[:LONGEST_MESSAGE])


def _primary(shard: Shard) -> str:
    found = [m for m in shard.members if isinstance(m.server, Server) and m.server.role is Role.PRIMARY]
    return f"{found[0].address}" if len(found) == 1 else ""


def _shard(shard: Shard, snapshot: Snapshot) -> dict[str, Any]:
    primaries = [m.server for m in shard.members if isinstance(m.server, Server) and m.server.role is Role.PRIMARY]
    attached = len(primaries[0].attached) if len(primaries) == 1 else 0
    watching = sum(
        not isinstance(sentinel.answers, Unknown) and shard.master_name in sentinel.answers
        for sentinel in snapshot.sentinels
    )
    whole = len(primaries) == 1 and attached == len(shard.members) - 1
    healthy = whole and watching == len(snapshot.sentinels)
    described = {"name": shard.name, "replicas": attached, "sentinels": watching, "healthy": healthy}
    return {**described, "primary": _primary(shard)} if _primary(shard) else described
