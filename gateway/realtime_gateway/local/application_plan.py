"""The application's side of a plan: the `serve` processes that share the public port, and the workers.

Pure, as ``plan`` is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields

from realtime_gateway.local.plan import LOOPBACK, GatewayAnswers, Kind, Place, ProcessPlan, Stage, WorkerReports
from realtime_gateway.resource.ending_times import GRACE_MARGIN_SECONDS
from realtime_gateway.resource.secret_files import secret_files
from realtime_gateway.resource.spec import GatewaySpec, RealtimeGateway, Worker

# What the console shows of each process: some 2 kB each.
RECENT_SPANS = 2_000


def gateway_processes(resource: RealtimeGateway, place: Place, ports: Mapping[str, int]) -> tuple[ProcessPlan, ...]:
    """Return the `serve` processes, which share the public port."""
    spec = resource.spec
    share = ("--reuse-port",) if place.listening_fd is None else ("--fd", str(place.listening_fd))
    where = ("--bind", place.host, "--port", str(place.port)) if place.listening_fd is None else ()
    return tuple(
        ProcessPlan(
            name=name,
            kind=Kind.GATEWAY,
            stage=Stage.APPLICATION,
            argv=(
                *(place.python, "-m", "realtime_gateway.cli.main", "serve", *where, *share),
                # No load balancer has to notice first that a process of this machine is ending.
                *("--admin-port", str(ports[name]), "--drain-accept-seconds", "0", spec.application),
            ),
            working_directory=place.project,
            readiness=GatewayAnswers(ports[name]),
            address=f"{place.host}:{place.port}",
            stop_seconds=float(spec.drain.period_seconds + GRACE_MARGIN_SECONDS),
            environment=_environment(resource, place, ports, name),
            revision=_revision(spec),
        )
        for name in gateway_names(resource)
    )


def worker_processes(resource: RealtimeGateway, place: Place, ports: Mapping[str, int]) -> tuple[ProcessPlan, ...]:
    """Return the `runworker` processes."""
    spec = resource.spec
    return tuple(
        ProcessPlan(
            name=(name := _worker_name(resource, worker, index)),
            kind=Kind.WORKER,
            stage=Stage.APPLICATION,
            argv=(place.python, "-m", "django", "runworker", *worker.channels),
            working_directory=place.project,
            readiness=WorkerReports(name, spec.channel_layer.prefix, ports[name]),
            environment=(
                *_environment(resource, place, ports, name),
                ("REALTIME_GATEWAY_ADMIN_PORT", str(ports[name])),
            ),
            revision=_revision(spec),
        )
        for worker in spec.workers
        for index in range(worker.replicas)
    )


def worker_names(resource: RealtimeGateway) -> tuple[str, ...]:
    """Return the names of the `runworker` processes."""
    workers = resource.spec.workers
    return tuple(_worker_name(resource, worker, index) for worker in workers for index in range(worker.replicas))


def _worker_name(resource: RealtimeGateway, worker: Worker, index: int) -> str:
    return f"{resource.name}-worker-{worker.name}-{index}"


def gateway_names(resource: RealtimeGateway) -> tuple[str, ...]:
    """Return the names of the `serve` processes."""
    return tuple(f"{resource.name}-gateway-{index}" for index in range(resource.spec.replicas))


def cache_name(resource: RealtimeGateway) -> str:
    """Return the name of the Redis for Django's cache."""
    return f"{resource.name}-cache"


def _environment(
    resource: RealtimeGateway, place: Place, ports: Mapping[str, int], name: str
) -> tuple[tuple[str, str], ...]:
    spec = resource.spec
    values = {
        "REALTIME_GATEWAY_CONFIG": str(place.hosts_file),
        "REALTIME_GATEWAY_RESOURCE": str(place.resource_file),
        "REALTIME_GATEWAY_PROCESS": name,
        "REALTIME_GATEWAY_RECENT_SPANS": str(RECENT_SPANS),
        # A worker's and an application's own prints reach the log when they are made.
        "PYTHONUNBUFFERED": "1",
    }
    if secret_files(spec):
        values["REALTIME_GATEWAY_SECRETS"] = str(place.secrets_directory)
    if spec.settings_module:
        values["DJANGO_SETTINGS_MODULE"] = spec.settings_module
    if spec.cache.enabled:
        values["CACHE_URL"] = f"redis://{LOOPBACK}:{ports[cache_name(resource)]}/0"
    return tuple(sorted(values.items()))


def _revision(spec: GatewaySpec) -> str:
    """Digest what a gateway or worker reads from the resource, but not how many of them there are."""
    counted = {"replicas", "workers", "autoscaling", "redis", "cache"}
    read = [(field.name, getattr(spec, field.name)) for field in fields(spec) if field.name not in counted]
    return hashlib.sha256(repr(read).encode()).hexdigest()[:12]
