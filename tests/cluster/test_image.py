"""Both images run as a user without rights, on a file system that nobody can write; the gateway's as it is."""

from __future__ import annotations

import asyncio
import json

from tests.cluster import images
from tests.cluster.cluster import Cluster, Namespace, Object
from tests.cluster.waiting import until

LABELS = {"app": "chat"}
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def redis() -> list[Object]:
    container = {
        "name": "redis",
        "image": images.REDIS,
        "command": ["redis-server", "--save", "", "--bind", "0.0.0.0", "--protected-mode", "no"],
        "readinessProbe": {"exec": {"command": ["redis-cli", "ping"]}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    labels = {"app": "redis"}
    pod = {"metadata": {"name": "redis", "labels": labels}, "spec": {"containers": [container]}}
    service = {"metadata": {"name": "redis"}, "spec": {"selector": labels, "ports": [{"port": 6379}]}}
    return [{"apiVersion": "v1", "kind": "Pod", **pod}, {"apiVersion": "v1", "kind": "Service", **service}]


def chat(image: str, host: str) -> list[Object]:
    """Return two pods of the image's own default command, behind a Service and an Ingress."""
    container = {
        "name": "gateway",
        "image": image,
        "env": [
            {"name": "REDIS_URL", "value": "redis://redis:6379"},
            {"name": "ALLOWED_HOSTS", "value": host},
        ],
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "admin", "containerPort": 9000}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "admin"}, "periodSeconds": 1},
        "securityContext": RESTRICTED,
    }
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [container], "enableServiceLinks": False}}
    deployment = {"replicas": 2, "selector": {"matchLabels": LABELS}, "template": template}
    service = {"selector": LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    backend = {"service": {"name": "chat", "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    name = {"metadata": {"name": "chat"}}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", **name, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", **name, "spec": service},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", **name, "spec": {"rules": [rule]}},
    ]


async def test_the_default_command_serves_the_example_chat(
    cluster: Cluster, namespace: Namespace, gateway_image: str
) -> None:
    host = f"{namespace.name}.test"
    namespace.apply(*redis(), *chat(gateway_image, host))
    namespace.wait_for("condition=Ready", "pod/redis")
    namespace.wait_for_rollout("deployment/chat")
    assert namespace.kubectl("exec", "deployment/chat", "--", "id", "-u").strip() == "10001"
    refused = namespace.try_kubectl("exec", "deployment/chat", "--", "touch", "/srv/chat/file")
    assert "Read-only file system" in refused.stderr
    await until(lambda: cluster.status_of(host) == 200, 30)

    # Enough sockets that both pods have some: what one says, all hear.
    sockets = [await cluster.connect(host, "/ws/chat/lobby/", origin=f"http://{host}") for _ in range(6)]
    await sockets[0].send(json.dumps({"message": "hello"}))
    async with asyncio.timeout(10):
        heard = [json.loads(await socket.recv()) for socket in sockets]
    assert heard == [{"message": "hello"}] * 6
    for socket in sockets:
        await socket.close()


def test_the_operator_image_has_all_that_the_operator_imports(namespace: Namespace, operator_image: str) -> None:
    modules = "pkgutil.walk_packages(realtime_operator.__path__, 'realtime_operator.')"
    script = (
        "import importlib, os, pkgutil, realtime_operator\n"
        f"names = [module.name for module in {modules} if not module.name.endswith('__main__')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(os.getuid(), len(names) > 10)\n"
    )
    command = ["python", "-c", script]
    container = {"name": "operator", "image": operator_image, "command": command, "securityContext": RESTRICTED}
    pod = {"metadata": {"name": "operator"}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    namespace.apply({"apiVersion": "v1", "kind": "Pod", **pod})
    namespace.wait_for("jsonpath={.status.phase}=Succeeded", "pod/operator")
    assert namespace.kubectl("logs", "operator").strip() == "10001 True"
