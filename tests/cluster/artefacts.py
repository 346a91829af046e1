"""What is kept of a test that failed: each object, event and log of its namespaces, and the cluster's own logs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.cluster.cluster import ROOT, Cluster, Namespace, OwnCluster

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


def keep(namespace: Namespace, folder: Path) -> None:
    """Write what a person would ask `kubectl` for."""
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
            answer = namespace.try_kubectl("logs", pod, "--all-containers", "--prefix", option)
            if answer.stdout:
                (folder / f"{pod.removeprefix('pod/')}.{name}").write_text(answer.stdout)


def keep_cluster(cluster: Cluster, folder: Path) -> None:
    """Copy the logs of the cluster's own programs."""
    if isinstance(cluster, OwnCluster):
        for log in cluster.state.glob("*/log/*.log"):
            target = folder / "cluster" / log.parent.parent.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(log, target)
