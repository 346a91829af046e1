"""Workers: a Deployment for each, running the project's own `runworker`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from realtime_gateway.hosts import Shard
from realtime_gateway.resource.cluster import PodTemplate
from realtime_gateway.resource.spec import Worker
from realtime_operator.objects import gateway_pods, identity, pods
from realtime_operator.target import Target

GRACE_SECONDS = 30
# Where a worker tells its metrics and spans.
ADMIN_ENV = (
    {"name": "REALTIME_GATEWAY_ADMIN_BIND", "value": "0.0.0.0"},
    {"name": "REALTIME_GATEWAY_ADMIN_PORT", "value": str(gateway_pods.ADMIN_PORT)},
)


def deployment(target: Target, worker: Worker, shards: Sequence[Shard] = ()) -> dict[str, Any]:
    """The Deployment of one worker; ``shards`` as for the gateway's."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": identity.metadata(
            target, identity.worker_name(target, worker.name), identity.WORKER, worker=worker.name
        ),
        "spec": {
            "replicas": worker.replicas,
            "progressDeadlineSeconds": GRACE_SECONDS + gateway_pods.STUCK_SECONDS,
            "revisionHistoryLimit": 3,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "selector": {"matchLabels": identity.selector(target, identity.WORKER, worker=worker.name)},
            "template": pods.template(target, _shape(target, worker, shards)),
        },
    }


def _shape(target: Target, worker: Worker, shards: Sequence[Shard]) -> pods.PodShape:
    container = {
        "name": identity.WORKER,
        "image": gateway_pods.image(target),
        "command": ["python", "-m", "django", "runworker", *worker.channels],
        "ports": [{"name": "admin", "containerPort": gateway_pods.ADMIN_PORT, "protocol": "TCP"}],
        "env": [*gateway_pods.process_env(target), *ADMIN_ENV],
        "volumeMounts": gateway_pods.process_mounts(target),
        "resources": {"requests": dict(gateway_pods.REQUESTS)},
    }
    return pods.PodShape(
        component=identity.WORKER,
        labels={
            **identity.labels(target, identity.WORKER, worker=worker.name),
            **gateway_pods.measured_labels(target),
        },
        selector=identity.selector(target, identity.WORKER, worker=worker.name),
        container=container,
        grace_seconds=GRACE_SECONDS,
        account=target.name,
        volumes=gateway_pods.process_volumes(target),
        inputs=gateway_pods.process_inputs(target, shards),
        annotations=gateway_pods.scrape_annotations(target),
        added=target.spec.pod_template or PodTemplate(),
    )
