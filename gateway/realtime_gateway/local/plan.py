"""What should run for a resource: every process with its command line, and what starts and stops between two plans.

Pure: ports, programs and directories are chosen elsewhere and passed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum
from pathlib import Path

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.resource.spec import GatewaySpec, Redis

LOOPBACK = "127.0.0.1"


class Kind(Enum):
    """What a process is."""

    REDIS = "redis"
    SENTINEL = "sentinel"
    CACHE = "cache"
    GATEWAY = "gateway"
    WORKER = "worker"


class Stage(IntEnum):
    """Processes start in this order: a stage when the one before is ready."""

    DATA = 1
    REPLICAS = 2
    SENTINELS = 3
    APPLICATION = 4


# Clients are sent away before anything that serves them ends; servers of data end together, since a Redis primary that
# ends waits for its replicas.
STOP_ORDER: tuple[frozenset[Kind], ...] = (
    frozenset({Kind.GATEWAY}),
    frozenset({Kind.WORKER}),
    frozenset({Kind.SENTINEL}),
    frozenset({Kind.REDIS, Kind.CACHE}),
)


@dataclass(frozen=True)
class RedisAnswers:
    """Ready: PING is answered; a replica has its data from a primary.

    Attributes:
        port: where it listens.
        shard: the master name that its Sentinels use; empty where there are none (no replicas, or a cache).
        primary_port: of which server it starts as a replica; None for a primary.
    """

    port: int
    shard: str = ""
    primary_port: int | None = None


@dataclass(frozen=True)
class SentinelAgrees:
    """Ready: for each shard it sees the primary and its replicas, and enough other Sentinels for a failover.

    The shards are no part of a comparison: a Sentinel that runs is told of others, and keeps them in its own file.
    """

    port: int
    shards: tuple[str, ...] = field(compare=False)
    replicas: int


@dataclass(frozen=True)
class GatewayAnswers:
    """Ready: /readyz of the admin port answers 200."""

    admin_port: int


@dataclass(frozen=True)
class WorkerReports:
    """Ready: the worker's channel layer has written a heartbeat to a shard.

    Attributes:
        process: the name that it reports.
        prefix: of the layer's keys.
        admin_port: where it tells its spans.
    """

    process: str
    prefix: str
    admin_port: int = 0


Readiness = RedisAnswers | SentinelAgrees | GatewayAnswers | WorkerReports


@dataclass(frozen=True)
class ProcessPlan:
    """One process that should run.

    Attributes:
        name: unique in the plan; the process's REALTIME_GATEWAY_PROCESS.
        kind: what it is.
        stage: when it starts.
        argv: the command line; of a Redis server without the role, which is decided at each start.
        working_directory: where it runs.
        environment: variables set beside those of `up`.
        readiness: what makes it ready.
        address: where it can be reached, for people; empty for a worker.
        stop_seconds: how long it may take to end after SIGTERM.
        files: written before its first start, by path; no part of a comparison, since a Sentinel rewrites its own.
        revision: what it has read from the resource; another one means that it must start again.
    """

    name: str
    kind: Kind
    stage: Stage
    argv: tuple[str, ...]
    working_directory: Path
    readiness: Readiness
    address: str = ""
    stop_seconds: float = 5.0
    environment: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[Path, str], ...] = field(default=(), compare=False)
    revision: str = ""


@dataclass(frozen=True)
class Place:
    """Where a plan runs.

    Attributes:
        directory: of this run alone: the host list, the resource, logs, data.
        project: the directory in which the application is imported.
        host: address of the public port.
        port: the public port.
        python: the interpreter.
        redis_server: the program; None when the resource needs none.
        listening_fd: one listening socket that all gateways inherit, where the system does not spread connections
            over several sockets on one port; else None.
        resource_suffix: of the resource's file, which says how to read it.
        identity: tells this run's Sentinels from those of any other.
    """

    directory: Path
    project: Path
    host: str
    port: int
    python: str
    redis_server: str | None
    listening_fd: int | None = None
    resource_suffix: str = ".yaml"
    identity: str = ""

    @property
    def hosts_file(self) -> Path:
        """The host-list document that every process of the run reads."""
        return self.directory / "hosts.json"

    @property
    def secrets_directory(self) -> Path:
        """Where its processes find the secrets that the resource refers to."""
        return self.directory / "secrets"

    @property
    def resource_file(self) -> Path:
        """The run's own copy of the resource: the last one that was valid."""
        return self.directory / f"resource{self.resource_suffix}"

    @property
    def url(self) -> str:
        """What to open in a browser."""
        shown = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(self.host, f"[{self.host}]" if ":" in self.host else self.host)
        return f"http://{shown}:{self.port}/"


@dataclass(frozen=True)
class Plan:
    """All that should run.

    Attributes:
        hosts: the host list that names the shards.
        processes: in the order in which people are shown them.
    """

    hosts: HostList
    processes: tuple[ProcessPlan, ...]

    @property
    def sentinel_ports(self) -> tuple[int, ...]:
        """Where the Sentinels of this run listen."""
        asked = (process.readiness for process in self.processes)
        return tuple(readiness.port for readiness in asked if isinstance(readiness, SentinelAgrees))

    @property
    def shard_urls(self) -> tuple[str, ...]:
        """Where the heartbeats of channel layers can be read: this run's servers, or plain external shards."""
        own = [p.address for p in self.processes if p.kind is Kind.REDIS]
        return tuple(f"redis://{address}" for address in own) or tuple(self.external_urls.values())

    @property
    def external_urls(self) -> Mapping[str, str]:
        """Where plain external shards are, by their names."""
        if any(process.kind is Kind.REDIS for process in self.processes):
            return {}
        return {shard.name: url for shard in self.hosts.shards if (url := _plain_url(shard))}


@dataclass(frozen=True)
class Changes:
    """What to do to get from one plan to another; a changed process is in ``restart`` as it should become."""

    start: tuple[ProcessPlan, ...]
    stop: tuple[ProcessPlan, ...]
    restart: tuple[ProcessPlan, ...]
    keep: tuple[ProcessPlan, ...]


def changes(present: Plan, wanted: Plan) -> Changes:
    """Compare two plans process by process."""
    before = {process.name: process for process in present.processes}
    after = {process.name: process for process in wanted.processes}
    both = [(before[name], process) for name, process in after.items() if name in before]
    return Changes(
        start=tuple(process for name, process in after.items() if name not in before),
        stop=tuple(process for name, process in before.items() if name not in after),
        restart=tuple(new for old, new in both if old != new),
        keep=tuple(new for old, new in both if old == new),
    )


def without_what_cannot_change(present: GatewaySpec, wanted: GatewaySpec) -> tuple[GatewaySpec, tuple[str, ...]]:
    """Return what of an edited spec can be reconciled, and a sentence for each part that cannot.

    Shards come and go. What a Redis server was started with stays, and so does the cache.
    """
    followed = replace(wanted, redis=_with_other_shards(present.redis, wanted.redis), cache=present.cache)
    sentences = []
    if followed.redis != wanted.redis:
        sentences.append(
            "Of spec.redis only managed.shards and external.hosts can change while it runs: stop it and start it "
            "again. The rest of the file is followed."
        )
    if followed.cache != wanted.cache:
        sentences.append(
            "spec.cache cannot change while it runs: stop it and start it again. The rest of the file is followed."
        )
    return followed, tuple(sentences)


def _with_other_shards(present: Redis, wanted: Redis) -> Redis:
    """The present Redis with the wanted number of shards, or with other external ones."""
    if present.managed is not None and wanted.managed is not None:
        return replace(present, managed=replace(present.managed, shards=wanted.managed.shards))
    return wanted if present.external is not None and wanted.external is not None else present


def _plain_url(shard: Shard) -> str | None:
    """Return where an external shard is; None for one that only Sentinels know."""
    form = shard.connection
    if "host" in form:
        host = f"[{form['host']}]" if ":" in str(form["host"]) else form["host"]
        user = f"{form['username']}@" if form.get("username") else ""
        return f"redis://{user}{host}:{form['port']}/{form.get('db', 0)}"
    return form.get("address")
