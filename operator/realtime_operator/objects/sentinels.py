"""The Sentinels: one StatefulSet for all shards of a resource, and a Service with an address of its own for each."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.cluster import PodTemplate
from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import identity, pods, redis_tls, security_context
from realtime_operator.objects.redis_config import config_files
from realtime_operator.objects.redis_shard import (
    address_service,
    probe,
    shared_mounts,
    shared_volumes,
    stateful_spec,
)
from realtime_operator.sentinel_terms import SENTINEL_PORT
from realtime_operator.target import Target


def announce_service(target: Target, ordinal: int, *, address: str | None = None) -> dict[str, Any]:
    """The Service whose address a Sentinel announces."""
    name = identity.sentinel_name(target, ordinal)
    return address_service(target, name, identity.SENTINEL, SENTINEL_PORT, address)


def stateful_set(target: Target, redis: ManagedRedis) -> dict[str, Any]:
    """The Sentinels' StatefulSet. They keep nothing: their ids are derived, and the operator tells them the rest."""
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(target, identity.sentinel_set(target), identity.SENTINEL),
        "spec": {
            **stateful_spec(redis.sentinels),
            "selector": {"matchLabels": identity.selector(target, identity.SENTINEL)},
            "template": pods.template(target, _shape(target, redis)),
        },
    }


def _shape(target: Target, redis: ManagedRedis) -> pods.PodShape:
    container = {
        "name": identity.SENTINEL,
        "image": redis.image,
        "command": ["sh", "/config/start_sentinel.sh"],
        "ports": [{"name": identity.SENTINEL, "containerPort": SENTINEL_PORT, "protocol": "TCP"}],
        "env": [
            pods.from_field("SENTINEL", "metadata.name"),
            {"name": "RESOURCE_UID", "value": target.uid},
            pods.from_secret("REDISCLI_AUTH", identity.passwords_name(target), "pod"),
            *redis_tls.script_env(redis, redis_tls.SENTINEL_SOCKET),
        ],
        "resources": {"requests": {"memory": "32Mi"}},
        "volumeMounts": [*shared_mounts(target), pods.mount("data", "/data", read_only=False)],
        "startupProbe": probe("sh", "/config/alive.sh", str(SENTINEL_PORT), period=2, failures=150),
        "livenessProbe": probe("sh", "/config/alive.sh", str(SENTINEL_PORT), period=10, failures=6),
        "readinessProbe": probe("sh", "/config/alive.sh", str(SENTINEL_PORT), period=5, failures=2),
    }
    added = redis.pod_template or PodTemplate()
    return pods.PodShape(
        component=identity.SENTINEL,
        labels=identity.labels(target, identity.SENTINEL),
        selector=identity.selector(target, identity.SENTINEL),
        container=container,
        grace_seconds=10,
        account=identity.redis_account(target),
        volumes=(*shared_volumes(target), pods.scratch_volume("data")),
        inputs=config_files(redis),
        user=security_context.REDIS_USER,
        # Resources of a Redis server are not a Sentinel's.
        added=PodTemplate(**{**vars(added), "resources": None}),
    )
