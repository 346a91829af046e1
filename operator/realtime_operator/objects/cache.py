"""A Redis of its own for Django's cache and sessions: one server, in memory, that may forget the least used."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import identity, pods, quantities, security_context
from realtime_operator.objects.redis_shard import OVERHEAD_BYTES
from realtime_operator.sentinel_terms import REDIS_PORT
from realtime_operator.target import Target


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
    # Kubernetes fills in the password, and the shell hands it to Redis by standard input: never on a command line.
    settings = (
        f'printf "requirepass %s\\nmaxmemory {limit}\\nmaxmemory-policy allkeys-lru\\nsave \\"\\"\\n" "$CACHE_PASSWORD"'
    )
    ping = {"tcpSocket": {"port": identity.CACHE}, "periodSeconds": 5, "failureThreshold": 6, "timeoutSeconds": 2}
    container = {
        "name": identity.CACHE,
        "image": (target.spec.redis.managed or ManagedRedis()).image,
        "command": ["sh", "-c", f"{settings} | exec redis-server -"],
        "ports": [{"name": identity.CACHE, "containerPort": REDIS_PORT, "protocol": "TCP"}],
        "env": [pods.from_secret("CACHE_PASSWORD", identity.passwords_name(target), "cache")],
        "resources": {"requests": {"memory": quantities.from_bytes(limit + OVERHEAD_BYTES)}},
        "livenessProbe": ping,
        "readinessProbe": ping,
    }
    return pods.PodShape(
        component=identity.CACHE,
        labels=identity.labels(target, identity.CACHE),
        selector=identity.selector(target, identity.CACHE),
        container=container,
        grace_seconds=10,
        account=identity.redis_account(target),
        user=security_context.REDIS_USER,
    )
