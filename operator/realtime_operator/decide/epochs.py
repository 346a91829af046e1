"""The host list: when a new one is made, who is told, and when an earlier one is retired.

Which step comes next is decided in ``realtime_gateway.hosts.rolling``, as for `realtime-gateway up`; here stands what
the steps are made of on a cluster. Only a write of the ConfigMap that names the version it replaces makes an epoch; the
shards are told after it.
"""

from __future__ import annotations

from dataclasses import replace

from realtime_gateway.hosts import HostList
from realtime_gateway.hosts.rolling import Mint, Pending, Report, Roll, Seen, Wanted, Why, next_step
from realtime_operator.decide.rollout import deployments
from realtime_operator.objects import host_list, identity
from realtime_operator.plan import AnnounceHosts, Finding, MintHosts, Verdict, some
from realtime_operator.snapshot import Address, ObjectKey, Role, Server, Shard, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

SHOWN_PROCESSES = 5


def hosts(target: Target, snapshot: Snapshot) -> Verdict:
    """Mint, announce, retire: one step at a time, each read from the cluster again."""
    match next_step(_wanted(target, snapshot), _seen(target, snapshot)):
        case Mint(made, why):
            return _write(target, snapshot, made, _minting(snapshot, made, why))
        case Pending(_, unanswered) if unanswered:
            return _pending("waiting for every shard to say whether it has a host list")
        case Pending(unready):
            return _pending(f"waiting for {', '.join(unready) or 'the first shard'} to be ready")
        case Roll() as roll:
            assert isinstance(snapshot.hosts, HostList), "a list rolls only where there is one"
            return _roll(target, snapshot, snapshot.hosts, roll)


def primary_of(shard: Shard) -> Address | None:
    """Where a shard takes writes; None while that is not clear."""
    found = [
        member.address
        for member in shard.members
        if member.address is not None and isinstance(member.server, Server) and member.server.role is Role.PRIMARY
    ]
    return found[0] if len(found) == 1 else None


def is_ready(shard: Shard) -> bool:
    """Whether a shard may join a host list: it has a primary, and a replica where it should have any."""
    primaries = [m.server for m in shard.members if isinstance(m.server, Server) and m.server.role is Role.PRIMARY]
    return len(primaries) == 1 and (len(shard.members) == 1 or bool(primaries[0].attached))


def _wanted(target: Target, snapshot: Snapshot) -> Wanted:
    return Wanted(
        host_list.wanted_shards(target),
        target.spec.channel_layer.expiry_seconds,
        unready=tuple(_unready(target, snapshot)),
        managed_by=f"RealtimeGateway {target.namespace}/{target.name}",
        known=tuple(host_list.managed_shard(target, shard.index) for shard in snapshot.shards),
    )


def _seen(target: Target, snapshot: Snapshot) -> Seen:
    seen = snapshot.hosts
    known = {shard.name: shard.document for shard in snapshot.shards if not isinstance(shard.document, Unknown)}
    return Seen(
        durable=seen if isinstance(seen, HostList) else None,
        damaged=seen.why if isinstance(seen, Unknown) else "",
        stored={name: document for name, document in known.items() if not isinstance(document, Unknown)},
        unanswered=tuple(shard.name for shard in snapshot.shards if isinstance(shard.document, Unknown)),
        floor=snapshot.status_epoch,
        reports=_reports(target, snapshot),
        settled_seconds=snapshot.held(_fact(seen.epoch)) if isinstance(seen, HostList) else 0.0,
    )


def _reports(target: Target, snapshot: Snapshot) -> tuple[Report, ...] | None:
    """What processes say on the shards. External shards are not asked: there it counts that every pod is new."""
    if target.spec.redis.managed is None:
        return None if deployments(target, snapshot).findings else ()
    fleet = snapshot.fleet
    if isinstance(fleet, Unknown):
        return None
    return tuple(Report(one.name, one.epoch, one.expiry_seconds) for one in fleet.processes)


def _fact(epoch: int) -> str:
    return f"all use epoch {epoch}"


def _roll(target: Target, snapshot: Snapshot, seen: HostList, roll: Roll) -> Verdict:
    """Bring every shard of every list up to the present one, and say what the next step waits for."""
    primaries = {shard.name: primary_of(shard) for shard in snapshot.shards}
    actions = tuple(AnnounceHosts(seen, name, found) for name in roll.tell if (found := primaries[name]) is not None)
    unreached = (*roll.unreached, *(name for name in roll.tell if primaries[name] is None))
    verdict = Verdict(
        actions,
        (*_synced(target, snapshot, seen, roll, unreached), *_progress(seen, roll)),
        look_again_seconds=1 if actions or unreached else None,
    )
    if not roll.retiring or roll.unready:
        return verdict
    facts = frozenset({_fact(seen.epoch)}) if roll.settled else frozenset()
    return replace(verdict, facts=facts, look_again_seconds=verdict.look_again_seconds or 5)


def _progress(seen: HostList, roll: Roll) -> tuple[Finding, ...]:
    if roll.unready:
        message = f"Waiting for {', '.join(roll.unready)} to be ready before the next host list."
    elif roll.retiring:
        message = f"Retiring the host lists before epoch {seen.epoch}."
    else:
        return ()
    return (Finding(reasons.PROGRESSING, reasons.RESHARDING, message),)


def _synced(
    target: Target, snapshot: Snapshot, seen: HostList, roll: Roll, unreached: tuple[str, ...]
) -> tuple[Finding, ...]:
    if target.spec.redis.managed is None:
        return _started_anew(target, snapshot, seen)
    if unreached:
        message = f"{', '.join(unreached)} cannot be told of epoch {seen.epoch} yet."
        return (Finding(reasons.HOSTS_SYNCED, reasons.SHARD_UNREACHABLE, message),)
    if isinstance(snapshot.fleet, Unknown):
        message = f"Who uses which list is not known: {snapshot.fleet.why}."
        return (Finding(reasons.HOSTS_SYNCED, reasons.UNKNOWN, message),)
    behind = roll.behind or ()
    if not behind:
        return ()
    message = f"Waiting for {some(behind, SHOWN_PROCESSES)} to use epoch {seen.epoch}."
    return (Finding(reasons.HOSTS_SYNCED, reasons.WAITING_FOR_PROCESSES, message),)


def _started_anew(target: Target, snapshot: Snapshot, seen: HostList) -> tuple[Finding, ...]:
    """A new list of external shards makes new pods, and the first of them tells the shards."""
    rolling = deployments(target, snapshot).findings
    if not rolling:
        return ()
    message = f"Waiting for new pods to start with epoch {seen.epoch}: {rolling[0].message}"
    return (Finding(reasons.HOSTS_SYNCED, reasons.WAITING_FOR_PROCESSES, message),)


def _unready(target: Target, snapshot: Snapshot) -> list[str]:
    """Names of managed shards that are asked for and may not join a host list yet."""
    if target.spec.redis.managed is None:
        return []
    ready = {shard.name for shard in snapshot.shards if is_ready(shard)}
    return [shard.name for shard in host_list.wanted_shards(target) if shard.name not in ready]


def _write(target: Target, snapshot: Snapshot, made: HostList, *findings: Finding) -> Verdict:
    seen = snapshot.objects.get(ObjectKey("ConfigMap", identity.hosts_name(target)))
    version = None if seen is None else seen["metadata"]["resourceVersion"]
    minted = MintHosts(made, host_list.config_map(target, made), version)
    return Verdict((minted,), findings, look_again_seconds=1)


def _minting(snapshot: Snapshot, made: HostList, why: Why) -> Finding:
    if why is Why.RETIRE:
        message = f"Retiring the host lists before epoch {made.epoch - 1}."
        return Finding(reasons.PROGRESSING, reasons.RESHARDING, message)
    if why in (Why.CONFLICT, Why.DAMAGED):
        damage = snapshot.hosts.why if isinstance(snapshot.hosts, Unknown) else ""
        reason = f"the ConfigMap is damaged: {damage}" if damage else f"two host lists claim epoch {made.epoch - 1}"
        return Finding(reasons.HOSTS_SYNCED, reasons.HOSTS_CONFLICT, f"Making a newer host list, since {reason}.")
    if why is Why.STRANGE:
        message = f"Making a newer host list, since {why.value}: it is not taken over."
        return Finding(reasons.HOSTS_SYNCED, reasons.HOSTS_CONFLICT, message)
    text = {
        Why.FIRST: "the first host list",
        Why.DELETED: "the ConfigMap was deleted",
        Why.SHARDS_AHEAD: f"the shards are at epoch {made.epoch} already",
        Why.SET_BACK: "the ConfigMap was set back",
    }.get(why, f"epoch {made.epoch} is new")
    return Finding(reasons.HOSTS_SYNCED, reasons.WAITING_FOR_PROCESSES, f"Writing the host list: {text}.")


def _pending(why: str) -> Verdict:
    return Verdict(findings=(Finding(reasons.HOSTS_SYNCED, reasons.HOSTS_PENDING, f"There is no host list: {why}."),))
