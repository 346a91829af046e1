"""Which objects should exist now, in the order in which they can: addresses, then who reads them, then who needs those.

A pass asks for everything whose needs the snapshot shows to be met; the change of an object wakes the next pass. So the
start needs no state of its own, and goes on from any point.
"""

from __future__ import annotations

from collections.abc import Iterator

from realtime_gateway.hosts import HostList
from realtime_gateway.hosts import Shard as HostShard
from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import (
    accounts,
    cache,
    disruption,
    exposure,
    gateway_pods,
    identity,
    monitoring,
    network_policy,
    pods,
    redis_config,
    redis_shard,
    sentinels,
    workers,
)
from realtime_operator.snapshot import Manifest, ObjectKey, Snapshot
from realtime_operator.target import Target


def wanted_objects(target: Target, snapshot: Snapshot) -> tuple[Manifest, ...]:
    """Everything that should exist and can be made now."""
    return (*_plain(target), *_redis(target, snapshot), *_processes(target, snapshot))


def wanted_keys(target: Target, snapshot: Snapshot) -> frozenset[ObjectKey]:
    """Everything that must not be removed: what can be made now, and what will be once its needs are met."""
    keys = {ObjectKey(m["kind"], m["metadata"]["name"]) for m in wanted_objects(target, snapshot)}
    keys |= {ObjectKey("ConfigMap", identity.hosts_name(target)), ObjectKey("Secret", identity.passwords_name(target))}
    keys.add(ObjectKey("Deployment", target.name))
    if target.spec.cache.enabled:
        keys.add(ObjectKey("Deployment", identity.cache_name(target)))
    keys |= {ObjectKey("Deployment", identity.worker_name(target, w.name)) for w in target.spec.workers}
    if target.spec.redis.managed is not None:
        keys |= _managed_keys(target, snapshot)
    return frozenset(keys)


def live_shards(target: Target, snapshot: Snapshot) -> tuple[int, ...]:
    """Indices of the shards that must run: those asked for, and those that a host list still names."""
    redis = target.spec.redis.managed
    if redis is None:
        return ()
    indices = set(range(redis.shards))
    if isinstance(snapshot.hosts, HostList):
        lists = (snapshot.hosts, *snapshot.hosts.earlier)
        named = (shard_index(target, shard.name) for hosts in lists for shard in hosts.shards)
        indices |= {index for index in named if index is not None}
    return tuple(sorted(indices))


def shard_index(target: Target, name: str) -> int | None:
    """Which of this resource's managed shards has this name; None for somebody else's."""
    index = name.removeprefix(identity.shard_name(target, 0)[:-1])
    return int(index) if index.isdecimal() and name == identity.shard_name(target, int(index)) else None


def address_names(target: Target, redis: ManagedRedis, shards: tuple[int, ...]) -> tuple[str, ...]:
    """Names of all Services whose addresses servers and Sentinels announce."""
    ordinals = range(redis_shard.members(redis))
    servers = (identity.server_name(target, shard, ordinal) for shard in shards for ordinal in ordinals)
    return (*servers, *(identity.sentinel_name(target, ordinal) for ordinal in range(redis.sentinels)))


def known_addresses(snapshot: Snapshot, target: Target) -> dict[str, str]:
    """Announced addresses: of Services that exist, else as they were last written down."""
    written = snapshot.objects.get(ObjectKey("ConfigMap", identity.addresses_name(target)), {})
    lines = written.get("data", {}).get("addresses", "").splitlines()
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    for key, seen in snapshot.objects.items():
        address = seen.get("spec", {}).get("clusterIP") if key.kind == "Service" else None
        if address and address != "None":
            found[key.name] = address
    return found


def _plain(target: Target) -> Iterator[Manifest]:
    """What needs nothing before it."""
    yield pods.service_account(target, target.name, identity.GATEWAY)
    yield gateway_pods.resource_file(target)
    yield exposure.service(target)
    yield disruption.budget(target, target.name, identity.GATEWAY)
    if target.spec.ingress is not None:
        yield exposure.ingress(target, target.spec.ingress)
    if target.spec.http_route is not None:
        yield exposure.http_route(target, target.spec.http_route)
    yield from _monitoring(target)
    for worker in target.spec.workers:
        name = identity.worker_name(target, worker.name)
        yield disruption.budget(target, name, identity.WORKER, worker=worker.name)
    if target.spec.network_policy.enabled:
        yield network_policy.gateway(target)
        yield network_policy.workers(target)


def _monitoring(target: Target) -> Iterator[Manifest]:
    if target.spec.telemetry.prometheus == "serviceMonitor":
        yield monitoring.service(target)
        yield monitoring.service_monitor(target)
    if target.spec.telemetry.dashboards:
        yield monitoring.dashboards(target)


def _redis(target: Target, snapshot: Snapshot) -> Iterator[Manifest]:
    redis = target.spec.redis.managed
    if redis is not None or target.spec.cache.enabled:
        yield pods.service_account(target, identity.redis_account(target), identity.REDIS)
    if target.spec.cache.enabled:
        yield from _cache(target, snapshot)
    if redis is None:
        return
    shards = live_shards(target, snapshot)
    known = known_addresses(snapshot, target)
    yield redis_config.redis_config(target, redis)
    if target.spec.network_policy.enabled:
        yield network_policy.redis(target)
    yield from _redis_services(target, redis, shards, known)
    yield from _redis_budgets(target, snapshot, shards)
    secret = snapshot.objects.get(ObjectKey("Secret", identity.passwords_name(target)))
    lists = snapshot.objects.get(ObjectKey("Secret", identity.accounts_name(target)))
    passwords = accounts.passwords_in_use(target, secret, lists)
    names = address_names(target, redis, shards)
    if passwords is None or not _all_exist(snapshot, "Service", names):
        return
    yield accounts.access_lists(target, passwords)
    yield redis_config.addresses(target, {name: known[name] for name in names})
    needs = [("Secret", identity.accounts_name(target)), ("ConfigMap", identity.addresses_name(target))]
    if all(ObjectKey(*need) in snapshot.objects for need in needs):
        yield sentinels.stateful_set(target, redis)
        for shard in shards:
            if _addresses_written(snapshot, target, shard, redis):
                yield redis_shard.stateful_set(target, redis, shard)


def _redis_budgets(target: Target, snapshot: Snapshot, shards: tuple[int, ...]) -> Iterator[Manifest]:
    crashing = {pod.name.rpartition("-")[0] for _, pod in snapshot.pods if pod.crashes}
    name = identity.sentinel_set(target)
    yield disruption.budget(target, name, identity.SENTINEL, crashing=name in crashing)
    for shard in shards:
        name = identity.shard_name(target, shard)
        yield disruption.budget(target, name, identity.REDIS, crashing=name in crashing, shard=str(shard))


def _redis_services(
    target: Target, redis: ManagedRedis, shards: tuple[int, ...], known: dict[str, str]
) -> Iterator[Manifest]:
    for shard in shards:
        for ordinal in range(redis_shard.members(redis)):
            address = known.get(identity.server_name(target, shard, ordinal))
            yield redis_shard.announce_service(target, shard, ordinal, address=address)
    for ordinal in range(redis.sentinels):
        address = known.get(identity.sentinel_name(target, ordinal))
        yield sentinels.announce_service(target, ordinal, address=address)


def _addresses_written(snapshot: Snapshot, target: Target, shard: int, redis: ManagedRedis) -> bool:
    """Whether the file that a shard's pods read at their start names all of them."""
    written = snapshot.objects[ObjectKey("ConfigMap", identity.addresses_name(target))]
    text = written.get("data", {}).get("addresses", "")
    names = (identity.server_name(target, shard, ordinal) for ordinal in range(redis_shard.members(redis)))
    return all(f"{name}=" in text for name in names)


def _cache(target: Target, snapshot: Snapshot) -> Iterator[Manifest]:
    yield cache.service(target)
    if target.spec.network_policy.enabled:
        yield network_policy.cache(target)
    if ObjectKey("Secret", identity.passwords_name(target)) in snapshot.objects:
        yield cache.deployment(target)


def _processes(target: Target, snapshot: Snapshot) -> Iterator[Manifest]:
    """Pods that need a host list: without it they could not even start."""
    needs = [("ConfigMap", identity.hosts_name(target)), ("ConfigMap", identity.resource_name(target))]
    if not all(ObjectKey(*need) in snapshot.objects for need in needs):
        return
    read = _read_at_start(target, snapshot)
    yield gateway_pods.deployment(target, target.spec.replicas, read)
    for worker in target.spec.workers:
        yield workers.deployment(target, worker, read)


def _read_at_start(target: Target, snapshot: Snapshot) -> tuple[HostShard, ...]:
    """The shards of the durable host list, where nobody but a new pod can carry a newer list to them."""
    if target.spec.redis.managed is None and isinstance(snapshot.hosts, HostList):
        return snapshot.hosts.shards
    return ()


def _managed_keys(target: Target, snapshot: Snapshot) -> set[ObjectKey]:
    shards = live_shards(target, snapshot)
    keys = {ObjectKey("StatefulSet", identity.shard_name(target, shard)) for shard in shards}
    keys |= {ObjectKey("StatefulSet", identity.sentinel_set(target))}
    keys |= {ObjectKey("ConfigMap", identity.addresses_name(target))}
    return keys | {ObjectKey("Secret", identity.accounts_name(target))}


def _all_exist(snapshot: Snapshot, kind: str, names: tuple[str, ...]) -> bool:
    return all(ObjectKey(kind, name) in snapshot.objects for name in names)
