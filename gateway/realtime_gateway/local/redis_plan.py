"""The Redis side of a plan: shards with their replicas, Sentinels, the cache, and how a host list names them.

Pure, as ``plan`` is. More shards may run than the resource asks for, while a change of their number is rolled and some
may still be in use. A shard without replicas has no Sentinels: they would have nothing to fail over to, so the host
list names its one server directly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.local.application_plan import (
    cache_name,
    gateway_names,
    gateway_processes,
    worker_names,
    worker_processes,
)
from realtime_gateway.local.plan import (
    LOOPBACK,
    Kind,
    Place,
    Plan,
    ProcessPlan,
    RedisAnswers,
    SentinelAgrees,
    Stage,
)
from realtime_gateway.resource.spec import ManagedRedis, RealtimeGateway

# Long enough that a busy laptop's hiccup is no failover, short enough to watch one.
DOWN_AFTER_MILLISECONDS = 2_000
# Within this time a second attempt at a failover does not start, and a former primary is made a replica.
FAILOVER_TIMEOUT_MILLISECONDS = 10_000
# Of each shard, in a Sentinel's file and in what a running one is told.
MONITOR_OPTIONS = {
    "down-after-milliseconds": DOWN_AFTER_MILLISECONDS,
    "failover-timeout": FAILOVER_TIMEOUT_MILLISECONDS,
    "parallel-syncs": 1,
}


def make_plan(
    resource: RealtimeGateway, place: Place, ports: Mapping[str, int], hosts: HostList, leaving: Collection[str] = ()
) -> Plan:
    """Return everything that should run for ``resource``.

    Args:
        resource: as read from the file.
        place: where it runs.
        ports: one for each of ``names_with_a_port``.
        hosts: the host list now.
        leaving: names of shards that run beside those that the resource asks for, since they may still be in use.
    """
    managed = resource.spec.redis.managed
    processes: list[ProcessPlan] = []
    if managed is not None:
        processes += _shard_servers(running_shards(resource, leaving), managed, place, ports)
    if resource.spec.cache.enabled:
        processes.append(_cache(resource, place, ports[cache_name(resource)]))
    if managed is not None and managed.replicas:
        processes += _sentinels(resource, managed, place, ports, leaving)
    processes += worker_processes(resource, place, ports)
    processes += gateway_processes(resource, place, ports)
    return Plan(hosts, tuple(processes))


def wanted_shards(resource: RealtimeGateway, ports: Mapping[str, int]) -> tuple[Shard, ...]:
    """Return the shards that the resource asks for, as a host list names them."""
    redis = resource.spec.redis
    if redis.external is not None:
        return tuple(Shard(host.name, float(host.weight), host.connection()) for host in redis.external.hosts)
    managed = redis.managed or ManagedRedis()
    return tuple(
        Shard(name=shard, connection=_connection(resource, managed, shard, ports))
        for shard in shard_names(resource, managed)
    )


def names_with_a_port(resource: RealtimeGateway, leaving: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of the processes that need a port of their own; ``leaving`` as in ``make_plan``."""
    names: list[str] = []
    managed = resource.spec.redis.managed
    if managed is not None:
        names += [server for shard in running_shards(resource, leaving) for server in server_names(shard, managed)]
        names += sentinel_names(resource, managed) if managed.replicas else ()
    if resource.spec.cache.enabled:
        names.append(cache_name(resource))
    return (*names, *gateway_names(resource), *worker_names(resource), console_name(resource))


def console_name(resource: RealtimeGateway) -> str:
    """Return under which name the console has its port."""
    return f"{resource.name}-console"


def running_shards(resource: RealtimeGateway, leaving: Collection[str] = ()) -> tuple[str, ...]:
    """Return the names of this run's own shards: those asked for, and those that may still be in use."""
    managed = resource.spec.redis.managed
    if managed is None:
        return ()
    wanted = shard_names(resource, managed)
    return (*wanted, *sorted(set(leaving) - set(wanted)))


def shard_names(resource: RealtimeGateway, managed: ManagedRedis) -> tuple[str, ...]:
    """Return the shards' names, which are also their master names."""
    return tuple(f"{resource.name}-redis-{index}" for index in range(managed.shards))


def server_names(shard: str, managed: ManagedRedis) -> tuple[str, ...]:
    """Return the names of a shard's servers; the first one starts as the primary."""
    return tuple(f"{shard}-{index}" for index in range(managed.replicas + 1))


def sentinel_names(resource: RealtimeGateway, managed: ManagedRedis) -> tuple[str, ...]:
    """Return the Sentinels' names."""
    return tuple(f"{resource.name}-sentinel-{index}" for index in range(managed.sentinels))


def _connection(
    resource: RealtimeGateway, managed: ManagedRedis, shard: str, ports: Mapping[str, int]
) -> dict[str, object]:
    if not managed.replicas:
        return {"host": LOOPBACK, "port": ports[server_names(shard, managed)[0]]}
    sentinels = [[LOOPBACK, ports[name]] for name in sentinel_names(resource, managed)]
    return {"sentinels": sentinels, "master_name": shard}


def _shard_servers(
    shards: Iterable[str], managed: ManagedRedis, place: Place, ports: Mapping[str, int]
) -> Iterator[ProcessPlan]:
    # With one replica, a primary that insists on a replica refuses writes from a failover until the other is back.
    needed = 1 if managed.replicas >= 2 else 0
    for shard in shards:
        primary, *replicas = server_names(shard, managed)
        for name in (primary, *replicas):
            options = {
                "maxmemory": str(managed.max_memory_bytes),
                "maxmemory-policy": managed.max_memory_policy,
                "min-replicas-to-write": str(needed),
                "min-replicas-max-lag": "4",
            }
            yield _redis_server(
                name,
                Kind.REDIS,
                place,
                RedisAnswers(
                    ports[name],
                    shard if replicas else "",
                    None if name == primary else ports[primary],
                ),
                options,
            )


def _cache(resource: RealtimeGateway, place: Place, port: int) -> ProcessPlan:
    options = {"maxmemory": str(resource.spec.cache.max_memory_bytes), "maxmemory-policy": "allkeys-lru"}
    return _redis_server(cache_name(resource), Kind.CACHE, place, RedisAnswers(port), options)


def _redis_server(
    name: str, kind: Kind, place: Place, readiness: RedisAnswers, options: Mapping[str, str]
) -> ProcessPlan:
    directory = place.directory / name
    every = {
        "port": str(readiness.port),
        "bind": LOOPBACK,
        # Messages live for a minute and replicas cover the loss of a server: nothing is written to a disk.
        "save": "",
        "appendonly": "no",
        "dir": str(directory),
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",
        "replica-serve-stale-data": "no",
        "replica-announce-ip": LOOPBACK,
        "replica-announce-port": str(readiness.port),
    }
    words = [word for option, value in {**every, **options}.items() for word in (f"--{option}", value)]
    return ProcessPlan(
        name=name,
        kind=kind,
        stage=Stage.DATA if readiness.primary_port is None else Stage.REPLICAS,
        argv=(place.redis_server or "redis-server", *words),
        working_directory=directory,
        readiness=readiness,
        address=f"{LOOPBACK}:{readiness.port}",
    )


def _sentinels(
    resource: RealtimeGateway,
    managed: ManagedRedis,
    place: Place,
    ports: Mapping[str, int],
    leaving: Collection[str],
) -> Iterator[ProcessPlan]:
    shards = running_shards(resource, leaving)
    for name in sentinel_names(resource, managed):
        directory = place.directory / name
        configuration = directory / "sentinel.conf"
        yield ProcessPlan(
            name=name,
            kind=Kind.SENTINEL,
            stage=Stage.SENTINELS,
            argv=(place.redis_server or "redis-server", str(configuration), "--sentinel"),
            working_directory=directory,
            readiness=SentinelAgrees(ports[name], shards, managed.replicas),
            address=f"{LOOPBACK}:{ports[name]}",
            files=((configuration, _sentinel_configuration(name, directory, resource, ports, place.identity)),),
        )


def _sentinel_configuration(
    name: str, directory: Path, resource: RealtimeGateway, ports: Mapping[str, int], identity: str
) -> str:
    managed = resource.spec.redis.managed or ManagedRedis()
    everyone = sentinel_names(resource, managed)
    lines = [
        f"port {ports[name]}",
        f"bind {LOOPBACK}",
        f"dir {_quoted(directory)}",
        f"sentinel myid {_sentinel_id(identity, name)}",
        f"sentinel announce-ip {LOOPBACK}",
        f"sentinel announce-port {ports[name]}",
    ]
    for shard in shard_names(resource, managed):
        primary, *replicas = server_names(shard, managed)
        lines += [
            f"sentinel monitor {shard} {LOOPBACK} {ports[primary]} {len(everyone) // 2 + 1}",
            *(f"sentinel {option} {shard} {value}" for option, value in MONITOR_OPTIONS.items()),
            # What it would find out by itself within some ten seconds.
            *(f"sentinel known-replica {shard} {LOOPBACK} {ports[replica]}" for replica in replicas),
            *(
                f"sentinel known-sentinel {shard} {LOOPBACK} {ports[other]} {_sentinel_id(identity, other)}"
                for other in everyone
                if other != name
            ),
        ]
    return "\n".join(lines) + "\n"


def _quoted(path: Path) -> str:
    """Return a path as a Redis configuration file has it: in double quotes, with C's escapes."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _sentinel_id(identity: str, name: str) -> str:
    """Return the 40 hexadecimal digits by which Sentinels know one another."""
    return hashlib.sha1(f"{identity}\n{name}".encode(), usedforsecurity=False).hexdigest()
