"""One look: the cache and Redis into a snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import HostList
from realtime_operator.objects import host_list, identity
from realtime_operator.objects.redis_shard import members
from realtime_operator.observe.gateway_pods import pod_of, pods_by_component
from realtime_operator.observe.object_cache import ObjectCache
from realtime_operator.observe.redis_servers import RedisServers, Stored
from realtime_operator.sentinel_terms import REDIS_PORT, SENTINEL_PORT
from realtime_operator.snapshot import (
    Address,
    Fleet,
    Manifest,
    Member,
    ObjectKey,
    Pod,
    Process,
    Role,
    Sentinel,
    Server,
    Shard,
    Snapshot,
    Unknown,
)
from realtime_operator.target import Target


async def observe(
    target: Target, cache: ObjectCache, servers: RedisServers, held_seconds: Mapping[str, float]
) -> Snapshot:
    """Read everything that a pass decides on."""
    objects = cache.owned_by(target.namespace, target.uid)
    seen_pods = cache.pods_of(target.namespace, target.name)
    resource = cache.get(target.namespace, ObjectKey("RealtimeGateway", target.name))
    snapshot = Snapshot(
        objects=objects,
        pods=pods_by_component(seen_pods),
        hosts=_durable_hosts(target, objects),
        status_epoch=_status_epoch(resource),
        fleet=Unknown("the shards are run by somebody else"),
        held_seconds=held_seconds,
    )
    if target.spec.redis.managed is None:
        return snapshot
    pods = {pod.name: pod for pod in map(pod_of, seen_pods)}
    return await _with_redis(target, snapshot, pods, servers)


async def _with_redis(target: Target, snapshot: Snapshot, pods: Mapping[str, Pod], servers: RedisServers) -> Snapshot:
    redis = target.spec.redis.managed
    assert redis is not None
    look = _Look(target, snapshot.objects, pods, servers)
    indices = _shard_indices(target, snapshot)
    shards, sentinels = await asyncio.gather(
        asyncio.gather(*(look.shard(index, members(redis)) for index in indices)),
        asyncio.gather(*(look.sentinel(ordinal) for ordinal in range(redis.sentinels))),
    )
    fleet = _fleet([stored for _, stored in shards], snapshot.hosts)
    return replace(snapshot, shards=tuple(shard for shard, _ in shards), sentinels=tuple(sentinels), fleet=fleet)


class _Look:
    """One look at the servers of one resource."""

    def __init__(
        self, target: Target, objects: Mapping[ObjectKey, Manifest], pods: Mapping[str, Pod], servers: RedisServers
    ) -> None:
        self._target = target
        self._objects = objects
        self._pods = pods
        self._servers = servers

    async def shard(self, index: int, count: int) -> tuple[Shard, Stored | Unknown | None]:
        found = await asyncio.gather(*(self._member(index, ordinal) for ordinal in range(count)))
        stored = await self._stored(found)
        document = stored.hosts if isinstance(stored, Stored) else stored
        name, master = identity.shard_name(self._target, index), identity.master_name(self._target, index)
        return Shard(index, name, master, tuple(found), document), stored

    async def sentinel(self, ordinal: int) -> Sentinel:
        name = identity.sentinel_name(self._target, ordinal)
        address, pod = self._address(name, SENTINEL_PORT), self._pods.get(name)
        if address is None or pod is None:
            return Sentinel(ordinal, address, pod, Unknown(f"there is no pod {name}"))
        return Sentinel(ordinal, address, pod, await self._servers.sentinel(address))

    async def _member(self, index: int, ordinal: int) -> Member:
        name = identity.server_name(self._target, index, ordinal)
        address, pod = self._address(name, REDIS_PORT), self._pods.get(name)
        if pod is None:
            return Member(ordinal, address, None, None)
        if address is None:
            return Member(ordinal, None, pod, Unknown("its Service has no address"))
        return Member(ordinal, address, pod, await self._servers.server(address))

    async def _stored(self, found: Sequence[Member]) -> Stored | Unknown | None:
        """What is stored on the shard, read from its one primary."""
        primaries = [m for m in found if isinstance(m.server, Server) and m.server.role is Role.PRIMARY]
        if len(primaries) != 1 or primaries[0].address is None:
            return Unknown("the shard has no primary")
        return await self._servers.stored(primaries[0].address, self._target.spec.channel_layer.prefix)

    def _address(self, name: str, port: int) -> Address | None:
        service = self._objects.get(ObjectKey("Service", name), {})
        address = service.get("spec", {}).get("clusterIP")
        return Address(address, port) if address else None


def _durable_hosts(target: Target, objects: Mapping[ObjectKey, Manifest]) -> HostList | Unknown | None:
    seen = objects.get(ObjectKey("ConfigMap", identity.hosts_name(target)))
    if seen is None:
        return None
    try:
        return HostList.from_json(
            seen.get("data", {}).get(host_list.KEY, ""), f"ConfigMap {identity.hosts_name(target)}"
        )
    except HostListInvalid as error:
        return Unknown(str(error))


def _status_epoch(resource: Manifest | None) -> int:
    status = {} if resource is None else resource.get("status", {})
    return int(status.get("hosts", {}).get("epoch", 0))


def _shard_indices(target: Target, snapshot: Snapshot) -> tuple[int, ...]:
    """Shards that should run, that a list names, or that still have a StatefulSet."""
    redis = target.spec.redis.managed
    assert redis is not None
    found = set(range(redis.shards))
    lists = (snapshot.hosts, *snapshot.hosts.earlier) if isinstance(snapshot.hosts, HostList) else ()
    names = {shard.name for hosts in lists for shard in hosts.shards}
    names |= {key.name for key in snapshot.objects if key.kind == "StatefulSet"}
    found |= {index for index in range(64) if identity.shard_name(target, index) in names}
    return tuple(sorted(found))


def _fleet(stored: Sequence[Stored | Unknown | None], hosts: HostList | Unknown | None) -> Fleet | Unknown:
    """Processes by what they said on any shard: a process is as far as the shard that knows best says."""
    if not isinstance(hosts, HostList):
        return Fleet()
    known = [one for one in stored if isinstance(one, Stored)]
    if not known:
        return Unknown("no shard answers")
    newest: dict[str, Process] = {}
    for one in known:
        for process in one.processes:
            before = newest.get(process.id)
            if before is None or process.epoch >= before.epoch:
                newest[process.id] = process
    return Fleet(tuple(sorted(newest.values(), key=lambda process: process.name)))
