"""The host list: when a new one is made, who is told, and when an earlier one is retired.

Only a write of the ConfigMap that names the version it replaces makes an epoch; the shards are told after it. Where
ConfigMap, shards and status disagree, the greatest epoch wins and is written everywhere; one epoch with two contents
is ended by a newer one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from realtime_gateway.hosts import HostList
from realtime_gateway.hosts import Shard as HostShard
from realtime_operator.objects import host_list, identity
from realtime_operator.plan import AnnounceHosts, Finding, MintHosts, Verdict, merge
from realtime_operator.snapshot import Address, Fleet, ObjectKey, Role, Server, Shard, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

SHOWN_PROCESSES = 5


def hosts(target: Target, snapshot: Snapshot) -> Verdict:
    """Mint, announce, retire: one step at a time, each read from the cluster again."""
    minted = _mint(target, snapshot)
    if minted is not None:
        return minted
    if not isinstance(snapshot.hosts, HostList):
        return _pending("waiting for the first shard to be ready")
    return merge((_announce(snapshot, snapshot.hosts), _retire(target, snapshot, snapshot.hosts)))


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


def _mint(target: Target, snapshot: Snapshot) -> Verdict | None:
    """The next host list, if one is needed and can be made."""
    documents = [shard.document for shard in snapshot.shards if isinstance(shard.document, HostList)]
    newest = max(documents, key=lambda document: document.epoch, default=None)
    seen = snapshot.hosts
    if isinstance(seen, Unknown):
        # Somebody has written something else into the ConfigMap; what the shards hold is the newest that is known.
        known = newest or HostList(max(snapshot.status_epoch, 1), host_list.wanted_shards(target))
        return _write(target, snapshot, _after(known, known.shards), _conflict(f"the ConfigMap is damaged: {seen.why}"))
    if seen is None:
        return _first(target, snapshot, newest)
    if newest is not None and newest.epoch > seen.epoch:
        return _write(target, snapshot, newest, _syncing(f"the shards are at epoch {newest.epoch} already"))
    if any(document.epoch == seen.epoch and document != seen for document in documents):
        why = f"two host lists claim epoch {seen.epoch}"
        return _write(target, snapshot, _after(seen, seen.shards), _conflict(why))
    if snapshot.status_epoch > seen.epoch:
        ahead = replace(_after(seen, seen.shards), epoch=snapshot.status_epoch + 1)
        return _write(target, snapshot, ahead, _syncing("the ConfigMap was set back"))
    return _reshard(target, snapshot, seen)


def _first(target: Target, snapshot: Snapshot, newest: HostList | None) -> Verdict:
    """No ConfigMap: the shards' own list if they have one, else the first one, when every shard is ready."""
    if newest is not None and newest.epoch >= snapshot.status_epoch:
        return _write(target, snapshot, newest, _syncing("the ConfigMap was deleted"))
    if any(isinstance(shard.document, Unknown) for shard in snapshot.shards):
        return _pending("waiting for every shard to say whether it has a host list")
    unready = _unready(target, snapshot)
    if unready:
        return _pending(f"waiting for {', '.join(unready)} to be ready")
    made = HostList(snapshot.status_epoch + 1, host_list.wanted_shards(target))
    return _write(target, snapshot, made, _syncing("the first host list"))


def _reshard(target: Target, snapshot: Snapshot, seen: HostList) -> Verdict | None:
    """The list that the resource asks for, once every shard in it is ready."""
    wanted = host_list.wanted_shards(target)
    if _same(wanted, seen.shards):
        return None
    unready = _unready(target, snapshot)
    if unready:
        message = f"Waiting for {', '.join(unready)} to be ready before the next host list."
        progress = Finding(reasons.PROGRESSING, reasons.RESHARDING, message)
        told = _announce(snapshot, seen)
        return merge((told, Verdict(findings=(progress,))))
    return _write(target, snapshot, _after(seen, wanted), _syncing(f"epoch {seen.epoch + 1} is new"))


def _announce(snapshot: Snapshot, seen: HostList) -> Verdict:
    """Bring every shard of every list up to the present one, and say who does not use it yet."""
    names = {shard.name for old in (seen, *seen.earlier) for shard in old.shards}
    actions, unreached = [], []
    for shard in snapshot.shards:
        if shard.name not in names or (isinstance(shard.document, HostList) and shard.document.epoch >= seen.epoch):
            continue
        primary = primary_of(shard)
        if primary is not None and not isinstance(shard.document, Unknown):
            actions.append(AnnounceHosts(seen, shard.name, primary))
        else:
            unreached.append(shard.name)
    return Verdict(
        tuple(actions), _synced(snapshot, seen, unreached), look_again_seconds=1 if actions or unreached else None
    )


def _synced(snapshot: Snapshot, seen: HostList, unreached: Sequence[str]) -> tuple[Finding, ...]:
    if unreached:
        message = f"{', '.join(unreached)} cannot be told of epoch {seen.epoch} yet."
        return (Finding(reasons.HOSTS_SYNCED, reasons.SHARD_UNREACHABLE, message),)
    if isinstance(snapshot.fleet, Unknown):
        return (
            Finding(reasons.HOSTS_SYNCED, reasons.UNKNOWN, f"Who uses which list is not known: {snapshot.fleet.why}."),
        )
    behind = snapshot.fleet.behind(seen.epoch)
    if not behind:
        return ()
    named = [process.name for process in behind[:SHOWN_PROCESSES]]
    more = [f"{len(behind) - len(named)} more"] if len(behind) > len(named) else []
    message = f"Waiting for {', '.join(named + more)} to use epoch {seen.epoch}."
    return (Finding(reasons.HOSTS_SYNCED, reasons.WAITING_FOR_PROCESSES, message),)


def _retire(target: Target, snapshot: Snapshot, seen: HostList) -> Verdict:
    """Forget earlier lists, by an epoch of its own, when all use the present one and what they held has expired."""
    if not seen.earlier:
        return Verdict()
    progress = Finding(reasons.PROGRESSING, reasons.RESHARDING, f"Retiring the host lists before epoch {seen.epoch}.")
    waiting = Verdict(findings=(progress,), look_again_seconds=5)
    told = all(
        isinstance(shard.document, HostList) and shard.document.epoch >= seen.epoch
        for shard in snapshot.shards
        if any(shard.name == present.name for present in seen.shards)
    )
    if not told or not isinstance(snapshot.fleet, Fleet) or snapshot.fleet.behind(seen.epoch):
        return waiting
    fact = f"all use epoch {seen.epoch}"
    if snapshot.held(fact) <= target.spec.channel_layer.expiry_seconds:
        return replace(waiting, facts=frozenset({fact}))
    retired = _after(seen, seen.shards, forget=True)
    return _write(target, snapshot, retired, progress)


def _unready(target: Target, snapshot: Snapshot) -> list[str]:
    """Names of managed shards that are asked for and may not join a host list yet."""
    if target.spec.redis.managed is None:
        return []
    ready = {shard.name for shard in snapshot.shards if is_ready(shard)}
    return [shard.name for shard in host_list.wanted_shards(target) if shard.name not in ready]


def _after(hosts: HostList, shards: Sequence[HostShard], *, forget: bool = False) -> HostList:
    """The list after this one, which keeps it and its earlier ones until they are retired."""
    earlier = () if forget else (replace(hosts, earlier=()), *hosts.earlier)
    return HostList(hosts.epoch + 1, tuple(shards), earlier)


def _write(target: Target, snapshot: Snapshot, made: HostList, *findings: Finding) -> Verdict:
    seen = snapshot.objects.get(ObjectKey("ConfigMap", identity.hosts_name(target)))
    version = None if seen is None else seen["metadata"]["resourceVersion"]
    minted = MintHosts(made, host_list.config_map(target, made), version)
    return Verdict((minted,), findings, look_again_seconds=1)


def _same(one: Sequence[HostShard], other: Sequence[HostShard]) -> bool:
    def plain(shards: Sequence[HostShard]) -> list[object]:
        return [(shard.name, shard.weight, dict(shard.connection)) for shard in shards]

    return plain(one) == plain(other)


def _conflict(why: str) -> Finding:
    return Finding(reasons.HOSTS_SYNCED, reasons.HOSTS_CONFLICT, f"Making a newer host list, since {why}.")


def _syncing(why: str) -> Finding:
    return Finding(reasons.HOSTS_SYNCED, reasons.WAITING_FOR_PROCESSES, f"Writing the host list: {why}.")


def _pending(why: str) -> Verdict:
    return Verdict(findings=(Finding(reasons.HOSTS_SYNCED, reasons.HOSTS_PENDING, f"There is no host list: {why}."),))
