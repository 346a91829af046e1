"""The smallest application to try a cluster with: pods that answer each message with their own name."""

from __future__ import annotations

from tests.cluster import images
from tests.cluster.cluster import Namespace, Object

LABELS = {"app": "echo"}
PORT = 8000


def pods(replicas: int, **spec: object) -> Object:
    """Return a StatefulSet `echo`, whose pods are `echo-0`, `echo-1`, …"""
    container = {
        "name": "echo",
        "image": images.ECHO,
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
    }
    pod = {"terminationGracePeriodSeconds": 5, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "echo"},
        "spec": {
            "replicas": replicas,
            "serviceName": "echo-pods",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": pod},
            **spec,
        },
    }


def with_volume(replicas: int) -> Object:
    """Return the same with a volume for each pod, at /data."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    stateful = pods(replicas, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": claim}])
    container = stateful["spec"]["template"]["spec"]["containers"][0]
    container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    return stateful


def service() -> Object:
    """Return the Service `echo`, on port 80."""
    return _service("echo", {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]})


def headless_service() -> Object:
    """Return the Service that gives each pod a name of its own."""
    return _service("echo-pods", {"clusterIP": "None", "ports": [{"name": "http", "port": PORT}]})


def _service(name: str, spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"selector": LABELS, **spec}}


def ingress(host: str) -> Object:
    backend = {"service": {"name": "echo", "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "echo"},
        "spec": {"rules": [rule]},
    }


def run(namespace: Namespace, stateful: Object, *others: Object) -> None:
    """Apply it with both Services, and wait until its pods are ready."""
    namespace.apply(service(), headless_service(), stateful, *others)
    namespace.wait_for_rollout("statefulset/echo")
