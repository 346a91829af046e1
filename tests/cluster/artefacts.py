"""What is kept of a test that failed: each object, event and log, what Redis says, and the cluster's own logs."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path

from tests.cluster.cluster import ROOT, Cluster, KubectlFailed, Namespace, Object, OwnCluster
from tests.cluster.operator_bed import NAMESPACE as OPERATOR_NAMESPACE

# Each kind is a request, and there are about sixty; whatever is in none of these is of no use afterwards.
KINDS = (
    "pods",
    "deployments",
    "statefulsets",
    "daemonsets",
    "replicasets",
    "jobs",
    "services",
    "endpointslices",
    "configmaps",
    "serviceaccounts",
    "persistentvolumeclaims",
    "ingresses",
    "networkpolicies",
    "poddisruptionbudgets",
    "roles",
    "rolebindings",
    "leases",
    "resourcequotas",
)

FOLDER = ROOT / "tests" / "artefacts" / "cluster"


def folder_for(test: str) -> Path:
    """Return the folder of a test, which is named as the test is."""
    return FOLDER / re.sub(r"[^\w.-]+", "-", test).strip("-")


def keep_all(cluster: Cluster, test: str) -> None:
    """Keep every namespace that this run has made and has not deleted, the operator's, and the cluster's logs."""
    folder = folder_for(test)
    folder.mkdir(parents=True, exist_ok=True)
    keep_cluster(cluster, folder)
    try:
        there = {one["metadata"]["name"]: one["status"]["phase"] for one in cluster.get("namespaces")}
        for name in (*cluster.namespaces, OPERATOR_NAMESPACE):
            if there.get(name) == "Active":
                keep(Namespace(cluster, name), folder / name)
    except (KubectlFailed, subprocess.TimeoutExpired) as error:
        # A cluster that the test has broken: what the test says counts, and not that this cannot be kept.
        (folder / "incomplete.txt").write_text(f"{error}\n")


def keep(namespace: Namespace, folder: Path) -> None:
    """Write what a person would ask `kubectl` and Redis for."""
    folder.mkdir(parents=True, exist_ok=True)
    custom = namespace.cluster.try_kubectl("get", "customresourcedefinitions", "-o", "name").stdout.split()
    kinds = [*KINDS, *(name.partition("/")[2] for name in custom)]
    questions = {
        "objects.yaml": ("get", ",".join(kinds), "-o", "yaml", "--show-managed-fields=false"),
        "secrets.txt": ("get", "secrets"),  # their names only
        "events.txt": ("get", "events", "--sort-by=.lastTimestamp"),
        "pods.txt": ("describe", "pods"),
    }
    for name, question in questions.items():
        answer = namespace.try_kubectl(*question)
        (folder / name).write_text(answer.stdout + answer.stderr)
    pods = namespace.try_kubectl("get", "pods", "-o", "name").stdout.split()
    for pod in pods:
        for name, option in (("log", "--previous=false"), ("previous.log", "--previous")):
            answer = namespace.try_kubectl("logs", pod, "--all-containers", "--prefix", "--timestamps", option)
            if answer.stdout:
                (folder / f"{pod.removeprefix('pod/')}.{name}").write_text(answer.stdout)
    for pod in namespace.get("pods", "-l", "app.kubernetes.io/component in (redis,sentinel)"):
        (folder / f"{pod['metadata']['name']}.redis.txt").write_text(_answers(namespace, pod))


def _answers(namespace: Namespace, pod: Object) -> str:
    """What a Redis server or a Sentinel says of itself and of the others."""
    labels = pod["metadata"]["labels"]
    if labels["app.kubernetes.io/component"] == "redis":
        return _ask(namespace, pod, "6379", "ROLE", "INFO replication", "CLIENT LIST")
    masters = _ask(namespace, pod, "26379", "SENTINEL MASTERS")
    names = re.findall(r"^name\n(.*)$", masters, re.MULTILINE)
    return masters + _ask(namespace, pod, "26379", *(f"SENTINEL REPLICAS {name}" for name in names))


def _ask(namespace: Namespace, pod: Object, port: str, *questions: str) -> str:
    """Ask as the operator, whose password comes from its Secret and goes in by standard input."""
    name, instance = pod["metadata"]["name"], pod["metadata"]["labels"]["app.kubernetes.io/instance"]
    secret = namespace.try_kubectl("get", f"secret/{instance}-redis-passwords", "-o", "jsonpath={.data.operator}")
    # The socket is where a server can be asked when others need TLS.
    program = f'timeout 5 redis-cli --user operator ${{SOCKET:+-s "$SOCKET"}} -p {port} $line </dev/null'
    script = f"read -r REDISCLI_AUTH; export REDISCLI_AUTH; while read -r line; do {program}; done"
    given = "\n".join((base64.b64decode(secret.stdout).decode(), *questions, ""))
    answer = namespace.try_kubectl("exec", "-i", name, "--", "sh", "-c", script, given=given)
    return answer.stdout + answer.stderr


def keep_cluster(cluster: Cluster, folder: Path) -> None:
    """Copy the logs of the cluster's own programs."""
    if isinstance(cluster, OwnCluster):
        for log in cluster.state.glob("*/log/*.log"):
            target = folder / "cluster" / log.parent.parent.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target)
