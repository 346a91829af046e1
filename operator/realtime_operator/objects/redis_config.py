"""Settings, scripts and addresses of Redis and Sentinel, as ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import identity, redis_tls
from realtime_operator.sentinel_terms import REDIS_PORT, SENTINEL_PORT
from realtime_operator.target import Target

SCRIPTS = (
    "start_redis.sh",
    "hand_over.sh",
    "start_sentinel.sh",
    "ready.sh",
    "alive.sh",
    "with_renewed_certificates.sh",
)
# A replica that lags longer does not count for min-replicas-to-write; replay_seconds of the layer is above it.
MAX_LAG_SECONDS = 4


def redis_config(target: Target, redis: ManagedRedis) -> dict[str, Any]:
    """The ConfigMap that pods read at their start; a change of it replaces them one by one."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(target, identity.redis_config_name(target), identity.REDIS),
        "data": config_files(redis),
    }


def config_files(redis: ManagedRedis) -> dict[str, str]:
    """What is in that ConfigMap."""
    here = resources.files(__package__) / "scripts"
    scripts = {name: (here / name).read_text() for name in SCRIPTS}
    return {
        **scripts,
        "redis.conf": _lines(_server_settings(redis)),
        "sentinel.conf": _lines(_sentinel_settings(redis)),
    }


def addresses(target: Target, found: Mapping[str, str]) -> dict[str, Any]:
    """The ConfigMap with the announced address of each server and Sentinel, since pods start without DNS."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": identity.metadata(target, identity.addresses_name(target), identity.REDIS),
        "data": {"addresses": "".join(f"{name}={address}\n" for name, address in sorted(found.items()))},
    }


def _server_settings(redis: ManagedRedis) -> list[tuple[str, object]]:
    return [
        ("include", "/accounts/replica-auth.conf"),
        ("aclfile", "/accounts/users.acl"),
        *redis_tls.listening(redis.tls, REDIS_PORT, redis_tls.SOCKET),
        ("bind", "* -::*"),
        ("dir", "/data"),
        ("save", '""'),
        ("appendonly", "yes" if redis.storage else "no"),
        ("appendfsync", "everysec"),
        ("maxmemory", redis.max_memory_bytes),
        ("maxmemory-policy", redis.max_memory_policy),
        ("replica-announce-port", REDIS_PORT),
        # A replica that lost its primary must not answer with old data.
        ("replica-serve-stale-data", "no"),
        # With one replica this would take writes away during every failover.
        ("min-replicas-to-write", 1 if redis.replicas >= 2 else 0),
        ("min-replicas-max-lag", MAX_LAG_SECONDS),
        ("repl-diskless-sync", "yes"),
        ("repl-diskless-sync-delay", 0),
        ("repl-ping-replica-period", 1),
        ("repl-timeout", 10),
        ("tcp-keepalive", 10),
    ]


def _sentinel_settings(redis: ManagedRedis) -> list[tuple[str, object]]:
    return [
        ("aclfile", "/accounts/sentinel-users.acl"),
        *redis_tls.listening(redis.tls, SENTINEL_PORT, redis_tls.SENTINEL_SOCKET),
        ("bind", "* -::*"),
        ("dir", "/data"),
        ("sentinel", "resolve-hostnames no"),
    ]


def _lines(settings: list[tuple[str, object]]) -> str:
    return "".join(f"{name} {value}\n" for name, value in settings)
