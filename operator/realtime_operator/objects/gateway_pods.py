"""The gateway's Deployment: Daphne pods that drain before they end, and what they read at their start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from realtime_gateway.hosts import Shard
from realtime_gateway.resource.cluster import PodTemplate
from realtime_gateway.resource.ending_times import GRACE_MARGIN_SECONDS
from realtime_operator.objects import cache, identity, pods, redis_tls, secret_files
from realtime_operator.target import API_VERSION, KIND, Target

HTTP_PORT = 8000
ADMIN_PORT = 8001
# What one process with a small application takes, so that the scheduler places pods by something; the resource's own
# `podTemplate.resources` stands in its place.
REQUESTS = {"cpu": "100m", "memory": "128Mi"}
# A roll that makes no progress for this long, beside what each pod may take, is reported as stuck.
STUCK_SECONDS = 120
HOSTS_DIRECTORY = "/etc/realtime-gateway/hosts"
RESOURCE_DIRECTORY = "/etc/realtime-gateway/resource"
RESOURCE_KEY = "resource.json"
ACCOUNT_DIRECTORY = "/etc/realtime-gateway/account"
TLS_DIRECTORY = "/etc/realtime-gateway/redis-tls"
REDIS_USER = "gateway"
# The sections of the spec that a process acts by. The others must not be here: a change of them would replace pods.
PROCESS_SECTIONS = (
    "application",
    "settingsModule",
    "websocket",
    "security",
    "auth",
    "channelLayer",
    "drain",
    "telemetry",
)
OPERATORS_TELEMETRY = ("prometheus", "serviceMonitorLabels", "dashboards")


def resource_file(target: Target) -> dict[str, Any]:
    """The ConfigMap with the part of the resource that processes read."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(target, identity.resource_name(target), identity.GATEWAY),
        "data": {RESOURCE_KEY: json.dumps(_process_resource(target), sort_keys=True)},
    }


def deployment(target: Target, replicas: int, shards: Sequence[Shard] = ()) -> dict[str, Any]:
    """The gateway's Deployment; ``shards`` are those of a host list that only new pods can learn, else none."""
    drain = target.spec.drain
    grace = drain.accept_seconds + drain.period_seconds + GRACE_MARGIN_SECONDS
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": identity.metadata(target, target.name, identity.GATEWAY),
        "spec": {
            "replicas": replicas,
            # A roll waits for new pods, not for old ones to end. So it goes on at the pace at which those drain.
            "minReadySeconds": drain.period_seconds,
            "progressDeadlineSeconds": grace + drain.period_seconds + STUCK_SECONDS,
            "revisionHistoryLimit": 3,
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1 if replicas <= 10 else "10%", "maxUnavailable": 0},
            },
            "selector": {"matchLabels": identity.selector(target, identity.GATEWAY)},
            "template": pods.template(target, _shape(target, grace, shards)),
        },
    }


def process_env(target: Target) -> list[dict[str, Any]]:
    """The environment of gateway and worker processes."""
    env = [
        pods.from_field("REALTIME_GATEWAY_PROCESS", "metadata.name"),
        {"name": "REALTIME_GATEWAY_CONFIG", "value": f"{HOSTS_DIRECTORY}/hosts.json"},
        {"name": "REALTIME_GATEWAY_RESOURCE", "value": f"{RESOURCE_DIRECTORY}/{RESOURCE_KEY}"},
    ]
    if target.spec.settings_module is not None:
        env.append({"name": "DJANGO_SETTINGS_MODULE", "value": target.spec.settings_module})
    if target.spec.redis.managed is not None:
        # In a file, since environments are printed and inherited.
        env.append({"name": "REALTIME_GATEWAY_REDIS_USERNAME", "value": REDIS_USER})
        env.append({"name": "REALTIME_GATEWAY_REDIS_PASSWORD_FILE", "value": f"{ACCOUNT_DIRECTORY}/{REDIS_USER}"})
    if redis_tls.wanted(target) is not None:
        env.append({"name": "REALTIME_GATEWAY_REDIS_TLS_DIRECTORY", "value": TLS_DIRECTORY})
        env.append({"name": "REALTIME_GATEWAY_REDIS_TLS_NAME", "value": identity.redis_tls_name(target)})
    if target.spec.cache.enabled:
        env.append(pods.from_secret("CACHE_PASSWORD", identity.passwords_name(target), "cache"))
        env.append({"name": "CACHE_URL", "value": cache.url(target, "$(CACHE_PASSWORD)", f"{TLS_DIRECTORY}/ca.crt")})
    return [*env, *secret_files.env(target)]


def process_volumes(target: Target) -> tuple[dict[str, Any], ...]:
    """The files that gateway and worker processes read."""
    volumes = (
        pods.config_volume("hosts", identity.hosts_name(target)),
        pods.config_volume("resource", identity.resource_name(target)),
        pods.scratch_volume("tmp"),
        *secret_files.volumes(target),
        # The image decides who runs in it.
        *redis_tls.volumes(redis_tls.wanted(target), mode=0o444),
    )
    if target.spec.redis.managed is None:
        return volumes
    return (*volumes, pods.secret_volume("account", identity.passwords_name(target), (REDIS_USER,), mode=0o444))


def process_mounts(target: Target) -> list[dict[str, Any]]:
    """Where they see them."""
    mounts = [
        pods.mount("hosts", HOSTS_DIRECTORY),
        pods.mount("resource", RESOURCE_DIRECTORY),
        pods.mount("tmp", "/tmp", read_only=False),  # noqa: S108  # a volume of the pod's own
        *secret_files.mounts(target),
        *redis_tls.mounts(redis_tls.wanted(target), TLS_DIRECTORY),
    ]
    return mounts if target.spec.redis.managed is None else [*mounts, pods.mount("account", ACCOUNT_DIRECTORY)]


def process_inputs(target: Target, shards: Sequence[Shard]) -> dict[str, Any]:
    """What a process reads only at its start.

    A list of managed shards is not in it, since a reshard must not replace pods. One of external shards is: the
    operator cannot tell those, so pods that start with it do, and the others learn it from the shards.
    """
    if not shards:
        return _process_resource(target)
    listed = [[shard.name, shard.weight, dict(shard.connection)] for shard in shards]
    return {**_process_resource(target), "shards": listed}


def image(target: Target) -> str:
    """The image of gateway and worker pods."""
    return target.spec.image or target.default_image


def _shape(target: Target, grace: int, shards: Sequence[Shard]) -> pods.PodShape:
    command = ["realtime-gateway", "serve", target.spec.application]
    command += ["--bind", "0.0.0.0", "--port", str(HTTP_PORT)]
    command += ["--admin-bind", "0.0.0.0", "--admin-port", str(ADMIN_PORT)]
    container = {
        "name": identity.GATEWAY,
        "image": image(target),
        "command": command,
        "ports": [
            {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": ADMIN_PORT, "protocol": "TCP"},
        ],
        "env": process_env(target),
        "volumeMounts": process_mounts(target),
        "resources": {"requests": dict(REQUESTS)},
        "startupProbe": _probe("/readyz", period=1, failures=120),
        "livenessProbe": _probe("/healthz", period=10, failures=6),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
    }
    return pods.PodShape(
        component=identity.GATEWAY,
        labels={**identity.labels(target, identity.GATEWAY), **measured_labels(target)},
        selector=identity.selector(target, identity.GATEWAY),
        container=container,
        grace_seconds=grace,
        account=target.name,
        volumes=process_volumes(target),
        inputs=process_inputs(target, shards),
        annotations=scrape_annotations(target),
        added=target.spec.pod_template or PodTemplate(),
    )


def _probe(path: str, *, period: int, failures: int) -> dict[str, Any]:
    get = {"path": path, "port": "admin", "scheme": "HTTP"}
    return {"httpGet": get, "periodSeconds": period, "failureThreshold": failures, "timeoutSeconds": 5}


def scrape_annotations(target: Target) -> dict[str, str]:
    """By which a Prometheus finds pods to scrape, where it is to find them so."""
    if target.spec.telemetry.prometheus != "scrape":
        return {}
    return {"prometheus.io/scrape": "true", "prometheus.io/port": str(ADMIN_PORT), "prometheus.io/path": "/metrics"}


def measured_labels(target: Target) -> dict[str, str]:
    """By which the Service of the ServiceMonitor finds pods, where there is one."""
    return dict(identity.MEASURED_LABELS) if target.spec.telemetry.prometheus == "serviceMonitor" else {}


def _process_resource(target: Target) -> dict[str, Any]:
    written = {name: target.written[name] for name in PROCESS_SECTIONS if name in target.written}
    if "telemetry" in written:
        ours = OPERATORS_TELEMETRY
        written["telemetry"] = {name: value for name, value in written["telemetry"].items() if name not in ours}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": target.name, "namespace": target.namespace},
        "spec": written,
    }
