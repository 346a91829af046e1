"""The durable host list: the shards that exist, as a ConfigMap that all pods mount."""

from __future__ import annotations

from typing import Any

from realtime_gateway.hosts import HostList, Shard
from realtime_operator.objects import identity
from realtime_operator.target import Target

KEY = "hosts.json"


def config_map(target: Target, hosts: HostList) -> dict[str, Any]:
    """The ConfigMap with a host list. Only minting writes it: it is never applied."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(target, identity.hosts_name(target), identity.GATEWAY),
        "data": {KEY: hosts.to_json()},
    }


def wanted_shards(target: Target) -> tuple[Shard, ...]:
    """The shards that the resource asks for, as they stand in a host list: by name, and without passwords."""
    redis = target.spec.redis
    if redis.external is not None:
        return tuple(Shard(host.name, float(host.weight), host.connection()) for host in redis.external.hosts)
    assert redis.managed is not None, "a resource that passed its checks has managed or external shards"
    return tuple(managed_shard(target, index) for index in range(redis.managed.shards))


def managed_shard(target: Target, index: int) -> Shard:
    """One of the shards that the operator runs, as it stands in a host list."""
    managed = target.spec.redis.managed
    assert managed is not None, "the shards are the operator's own"
    sentinels = [identity.sentinel_endpoint(target, ordinal) for ordinal in range(managed.sentinels)]
    place = {"sentinels": sentinels, "master_name": identity.master_name(target, index)}
    return Shard(identity.shard_name(target, index), 1.0, place)
