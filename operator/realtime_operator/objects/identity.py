"""Names, labels and owners of every object: the only module that makes them.

A resource's name has at most 40 characters. The longest names made from it here have at most 52, so that what
Kubernetes appends (a revision's hash, a pod's suffix) still fits the 63 of a label.
"""

from __future__ import annotations

import hashlib
from typing import Any

from realtime_operator.sentinel_terms import SENTINEL_PORT
from realtime_operator.target import API_GROUP, API_VERSION, FIELD_MANAGER, KIND, Target

LONGEST = 52
SHARD_LABEL = f"{API_GROUP}/shard"
WORKER_LABEL = f"{API_GROUP}/worker"
COMPONENT_LABEL = "app.kubernetes.io/component"
INSTANCE_LABEL = "app.kubernetes.io/instance"
MANAGED_LABEL = "app.kubernetes.io/managed-by"
MEASURED_LABELS = {f"{API_GROUP}/metrics": "true"}  # of pods that a ServiceMonitor has scraped
PAUSE_ANNOTATION = f"{API_GROUP}/paused"
OPERATOR_LABELS = {"app.kubernetes.io/name": "realtime-gateway-operator"}

GATEWAY, WORKER, REDIS, SENTINEL, CACHE = "gateway", "worker", "redis", "sentinel", "cache"
METRICS = "metrics"  # what finds and shows them; no pod is of this component


def bounded(name: str) -> str:
    """Shorten a name that is too long, keeping it distinct by a hash of the whole."""
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: LONGEST - 9].rstrip('-')}-{digest}"


def shard_name(target: Target, shard: int) -> str:
    """The name of a shard in the host list, and of its StatefulSet."""
    return f"{target.name}-redis-{shard}"


def server_name(target: Target, shard: int, ordinal: int) -> str:
    """The name of a Redis server's pod, and of the Service that is its announced address."""
    return f"{shard_name(target, shard)}-{ordinal}"


def master_name(target: Target, shard: int) -> str:
    """What Sentinels call a shard: another for each resource that ever had this name."""
    return f"{shard_name(target, shard)}-{hashlib.sha256(target.uid.encode()).hexdigest()[:8]}"


def sentinel_set(target: Target) -> str:
    """The name of the Sentinels' StatefulSet."""
    return f"{target.name}-sentinel"


def sentinel_name(target: Target, ordinal: int) -> str:
    """The name of a Sentinel's pod, and of the Service that is its announced address."""
    return f"{sentinel_set(target)}-{ordinal}"


def sentinel_endpoint(target: Target, ordinal: int) -> list[Any]:
    """A Sentinel in a host list: by name, so that it stays the same whatever its address."""
    return [f"{sentinel_name(target, ordinal)}.{target.namespace}.svc", SENTINEL_PORT]


def worker_name(target: Target, worker: str) -> str:
    """The name of a worker's Deployment."""
    return bounded(f"{target.name}-worker-{worker}")


def hosts_name(target: Target) -> str:
    """The ConfigMap with the host list."""
    return f"{target.name}-hosts"


def resource_name(target: Target) -> str:
    """The ConfigMap with the part of the resource that processes read."""
    return f"{target.name}-resource"


def addresses_name(target: Target) -> str:
    """The ConfigMap that says which address is whose."""
    return f"{target.name}-redis-addresses"


def redis_config_name(target: Target) -> str:
    """The ConfigMap with Redis's and Sentinel's settings and start scripts."""
    return f"{target.name}-redis-config"


def passwords_name(target: Target) -> str:
    """The Secret with the passwords, made once."""
    return f"{target.name}-redis-passwords"


def accounts_name(target: Target) -> str:
    """The Secret with the access lists that follow from the passwords."""
    return f"{target.name}-redis-accounts"


def redis_tls_name(target: Target) -> str:
    """The name that the certificate of a resource's Redis servers and Sentinels must have: one for all of them."""
    return f"{target.name}-redis.{target.namespace}.svc"


def cache_host(target: Target) -> str:
    """The cache's Service, by a name that holds outside of the namespace too, and so can stand in a certificate."""
    return f"{cache_name(target)}.{target.namespace}.svc"


def redis_account(target: Target) -> str:
    """The ServiceAccount of Redis and Sentinel pods, which has no rights."""
    return f"{target.name}-redis"


def cache_name(target: Target) -> str:
    """The Redis for Django's cache."""
    return f"{target.name}-cache"


def metrics_name(target: Target) -> str:
    """The Service and the ServiceMonitor of all pods with metrics of ours."""
    return f"{target.name}-metrics"


def dashboards_name(target: Target) -> str:
    """The ConfigMap with Grafana's dashboards."""
    return f"{target.name}-dashboards"


def selector(target: Target, component: str, **more: str) -> dict[str, str]:
    """Labels that pick the pods of one component."""
    extra = {f"{API_GROUP}/{key}": value for key, value in more.items()}
    return {INSTANCE_LABEL: target.name, COMPONENT_LABEL: component, **extra}


def labels(target: Target, component: str, **more: str) -> dict[str, str]:
    """All labels of an object or a pod of one component."""
    return {
        "app.kubernetes.io/name": "realtime-gateway",
        MANAGED_LABEL: FIELD_MANAGER,
        **selector(target, component, **more),
    }


def metadata(target: Target, name: str, component: str, **more: str) -> dict[str, Any]:
    """The metadata of an object that goes when the resource goes."""
    return {
        "name": name,
        "namespace": target.namespace,
        "labels": labels(target, component, **more),
        "ownerReferences": [owner_reference(target)],
    }


def owner_reference(target: Target) -> dict[str, Any]:
    """Makes Kubernetes delete the object with the resource; nothing waits for that, so no finalizer is needed."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": target.name,
        "uid": target.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
