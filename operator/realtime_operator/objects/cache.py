"""A Redis of its own for Django's cache and sessions: one server, in memory, that may forget the least used."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import identity, pods, quantities, redis_tls, security_context
from realtime_operator.objects.redis_shard import OVERHEAD_BYTES
from realtime_operator.sentinel_terms import REDIS_PORT
from realtime_operator.target import Target

_SETTINGS = f"{redis_tls.SOCKET_DIRECTORY}/cache.conf"


def url(target: Target, password: str, authority: str) -> str:
    """Where the application finds it, as Django and redis-py read it; ``authority`` is the file of TLS's authority."""
    if redis_tls.wanted(target) is None:
        return f"redis://:{password}@{identity.cache_name(target)}:{REDIS_PORT}/0"
    checked = f"ssl_ca_certs={authority}&ssl_check_hostname=true"
    return f"rediss://:{password}@{identity.cache_host(target)}:{REDIS_PORT}/0?{checked}"


def service(target: Target) -> dict[str, Any]:
    """The cache's address."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(target, identity.cache_name(target), identity.CACHE),
        "spec": {
            "type": "ClusterIP",
            "selector": identity.selector(target, identity.CACHE),
            "ports": [{"name": identity.CACHE, "port": REDIS_PORT, "protocol": "TCP", "targetPort": REDIS_PORT}],
        },
    }


def deployment(target: Target) -> dict[str, Any]:
    """The cache's server. Two would hold two different caches, so an old one ends before a new one starts."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": identity.metadata(target, identity.cache_name(target), identity.CACHE),
        "spec": {
            "replicas": 1,
            "revisionHistoryLimit": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": identity.selector(target, identity.CACHE)},
            "template": pods.template(target, _shape(target)),
        },
    }


def _shape(target: Target) -> pods.PodShape:
    limit = target.spec.cache.max_memory_bytes
    tls = redis_tls.wanted(target)
    ping = {"tcpSocket": {"port": identity.CACHE}, "periodSeconds": 5, "failureThreshold": 6, "timeoutSeconds": 2}
    container: dict[str, Any] = {
        "name": identity.CACHE,
        "image": (target.spec.redis.managed or ManagedRedis()).image,
        "command": ["sh", "-c", _command(target)],
        "ports": [{"name": identity.CACHE, "containerPort": REDIS_PORT, "protocol": "TCP"}],
        "env": [pods.from_secret("CACHE_PASSWORD", identity.passwords_name(target), "cache")],
        "volumeMounts": [*redis_tls.mounts(tls), pods.mount("run", redis_tls.SOCKET_DIRECTORY, read_only=False)],
        "resources": {"requests": {"memory": quantities.from_bytes(limit + OVERHEAD_BYTES)}},
        "livenessProbe": ping,
        "readinessProbe": ping,
    }
    volumes = [*redis_tls.volumes(tls), pods.scratch_volume("run", in_memory=True)]
    if tls is not None:
        container["env"] += [
            pods.from_secret("REDISCLI_AUTH", identity.passwords_name(target), "cache"),
            {"name": "ACCOUNT", "value": "default"},
            {"name": "SOCKET", "value": redis_tls.SOCKET},
        ]
        container["volumeMounts"].append(pods.mount("config", "/config"))
        volumes.append(pods.config_volume("config", identity.redis_config_name(target)))
    return pods.PodShape(
        component=identity.CACHE,
        labels=identity.labels(target, identity.CACHE),
        selector=identity.selector(target, identity.CACHE),
        container=container,
        grace_seconds=10,
        account=identity.redis_account(target),
        volumes=tuple(volumes),
        user=security_context.REDIS_USER,
    )


def _command(target: Target) -> str:
    # Kubernetes fills in the password, and the shell hands it to Redis in a file in memory: never on a command line.
    # The shell becomes the server, since as the container's first process it would not heed SIGTERM.
    limit = target.spec.cache.max_memory_bytes
    settings = rf"requirepass %s\nmaxmemory {limit}\nmaxmemory-policy allkeys-lru\nsave \"\"\n"
    tls = redis_tls.wanted(target)
    run = f"redis-server {_SETTINGS}"
    if tls is not None:
        # The password says who may come in: clients of a cache go on with the certificate that they once read.
        listening = {**dict(redis_tls.listening(tls, REDIS_PORT, redis_tls.SOCKET)), "tls-auth-clients": "no"}
        settings += "".join(rf"{name} {value}\n" for name, value in listening.items())
        run = f"sh /config/with_renewed_certificates.sh {run}"
    return f'umask 077 && printf "{settings}" "$CACHE_PASSWORD" >{_SETTINGS} && exec {run}'
