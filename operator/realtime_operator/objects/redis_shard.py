"""A shard: a StatefulSet of Redis servers, and a Service with an address of its own for each of them."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.cluster import PodTemplate
from realtime_gateway.resource.spec import ManagedRedis
from realtime_operator.objects import accounts, identity, pods, quantities, redis_tls, security_context
from realtime_operator.objects.redis_config import config_files
from realtime_operator.sentinel_terms import REDIS_PORT
from realtime_operator.target import Target

# Memory of a server beside its data: buffers of clients and replicas, and the allocator's own.
OVERHEAD_BYTES = 64 * 1024 * 1024


def members(redis: ManagedRedis) -> int:
    """How many servers a shard has: a primary and its replicas."""
    return redis.replicas + 1


def announce_service(target: Target, shard: int, ordinal: int, *, address: str | None = None) -> dict[str, Any]:
    """The Service whose address a server announces; made again with the address it had, where that is known."""
    name = identity.server_name(target, shard, ordinal)
    return address_service(target, name, identity.REDIS, REDIS_PORT, address, shard=str(shard))


def address_service(
    target: Target, name: str, component: str, port: int, address: str | None, **more: str
) -> dict[str, Any]:
    """A Service for one pod. It answers also while the pod is not ready: a parked server must be reachable."""
    spec: dict[str, Any] = {
        "type": "ClusterIP",
        "publishNotReadyAddresses": True,
        "selector": {"statefulset.kubernetes.io/pod-name": name},
        "ports": [{"name": component, "port": port, "protocol": "TCP", "targetPort": port}],
    }
    if address is not None:
        spec["clusterIP"] = address
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": identity.metadata(target, name, component, **more),
        "spec": spec,
    }


def stateful_set(target: Target, redis: ManagedRedis, shard: int) -> dict[str, Any]:
    """The StatefulSet of one shard. Its pods are replaced by the operator, replicas first and the primary last."""
    spec = {
        **stateful_spec(members(redis)),
        "selector": {"matchLabels": identity.selector(target, identity.REDIS, shard=str(shard))},
        "template": pods.template(target, _shape(target, redis, shard)),
        "persistentVolumeClaimRetentionPolicy": {
            "whenDeleted": target.spec.deletion_policy,
            "whenScaled": "Delete",
        },
    }
    if redis.storage is not None:
        spec["volumeClaimTemplates"] = [_claim(redis)]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": identity.metadata(target, identity.shard_name(target, shard), identity.REDIS, shard=str(shard)),
        "spec": spec,
    }


def stateful_spec(replicas: int) -> dict[str, Any]:
    """What the StatefulSets of servers and of Sentinels have in common."""
    return {
        "replicas": replicas,
        # Each pod has a Service of its own; a governing Service would have nothing to do.
        "serviceName": "",
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "revisionHistoryLimit": 2,
    }


def _shape(target: Target, redis: ManagedRedis, shard: int) -> pods.PodShape:
    sentinels = " ".join(identity.sentinel_name(target, ordinal) for ordinal in range(redis.sentinels))
    env = [
        pods.from_field("SERVER", "metadata.name"),
        {"name": "MASTER", "value": identity.master_name(target, shard)},
        {"name": "SENTINELS", "value": sentinels},
        pods.from_secret("REDISCLI_AUTH", identity.passwords_name(target), "pod"),
        *redis_tls.script_env(redis, redis_tls.SOCKET),
    ]
    volumes = [*shared_volumes(target), pods.scratch_volume("run")]
    if redis.storage is None:
        volumes.append(pods.scratch_volume("data"))
    container = {
        "name": identity.REDIS,
        "image": redis.image,
        "command": ["sh", "/config/start_redis.sh"],
        "ports": [{"name": identity.REDIS, "containerPort": REDIS_PORT, "protocol": "TCP"}],
        "env": env,
        "resources": _resources(redis),
        "volumeMounts": [
            *shared_mounts(target),
            pods.mount("run", redis_tls.SOCKET_DIRECTORY, read_only=False),
            pods.mount("data", "/data", read_only=False),
        ],
        "startupProbe": probe("sh", "/config/alive.sh", str(REDIS_PORT), period=2, failures=150),
        "livenessProbe": probe("sh", "/config/alive.sh", str(REDIS_PORT), period=10, failures=6),
        "readinessProbe": probe("sh", "/config/ready.sh", period=2, failures=2),
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "/config/hand_over.sh"]}}},
    }
    labels = identity.labels(target, identity.REDIS, shard=str(shard))
    return pods.PodShape(
        component=identity.REDIS,
        labels=labels,
        selector=identity.selector(target, identity.REDIS, shard=str(shard)),
        container=container,
        grace_seconds=30,
        account=identity.redis_account(target),
        volumes=tuple(volumes),
        inputs=config_files(redis),
        user=security_context.REDIS_USER,
        added=redis.pod_template or PodTemplate(),
    )


def shared_volumes(target: Target) -> list[dict[str, Any]]:
    """Scripts, addresses, access lists and certificates."""
    return [
        pods.config_volume("config", identity.redis_config_name(target)),
        pods.config_volume("addresses", identity.addresses_name(target)),
        pods.secret_volume("accounts", identity.accounts_name(target), accounts.FILES),
        *redis_tls.volumes(redis_tls.wanted(target)),
    ]


def shared_mounts(target: Target) -> list[dict[str, Any]]:
    """Where containers see them."""
    return [
        pods.mount("config", "/config"),
        pods.mount("addresses", "/addresses"),
        pods.mount("accounts", "/accounts"),
        *redis_tls.mounts(redis_tls.wanted(target)),
    ]


def probe(*command: str, period: int, failures: int) -> dict[str, Any]:
    """A probe that runs a script; its own limit is above those inside the scripts."""
    return {
        "exec": {"command": list(command)},
        "periodSeconds": period,
        "failureThreshold": failures,
        "timeoutSeconds": 6,
    }


def _resources(redis: ManagedRedis) -> dict[str, Any]:
    if redis.resources is not None:
        return quantities.resources(redis.resources)
    return {"requests": {"memory": quantities.from_bytes(redis.max_memory_bytes + OVERHEAD_BYTES)}}


def _claim(redis: ManagedRedis) -> dict[str, Any]:
    assert redis.storage is not None
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": quantities.from_bytes(redis.storage.size_bytes)}},
    }
    if redis.storage.class_name is not None:
        spec["storageClassName"] = redis.storage.class_name
    return {"metadata": {"name": "data"}, "spec": spec}
