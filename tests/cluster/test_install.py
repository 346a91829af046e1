"""The operator as people install it: the very commands of the README, and with what rights it does its work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart import rights
from tests.cluster import images
from tests.cluster.cluster import ROOT, Cluster, Namespace, Object, OwnCluster
from tests.cluster.node.machine import CACHE
from tests.cluster.waiting import wait_until

CRD = "realtimegateways.realtime-gateway.io"
SYSTEM = "realtime-gateway"
OPERATOR = "realtime-gateway-operator"
REDIS = "docker.io/library/redis:7.2"
COMMAND_SECONDS = 330


README, PAGE = ROOT / "README.md", ROOT / "docs" / "kubernetes.md"
TARGETS = ("operator", "gateway")


def documented(page: Path, heading: str) -> list[str]:
    """Return the command lines under a heading of a page."""
    section = re.split(r"^#+ ", page.read_text().partition(f"# {heading}\n")[2], flags=re.MULTILINE)[0]
    return [line.strip() for line in section.splitlines() if line.startswith("    ")]


class Shell:
    """Runs command lines as somebody whose kubectl is set up for one namespace of the cluster."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.write_bytes(cluster.kubeconfig.read_bytes())
        programs = f"{Path(sys.executable).parent}:{CACHE / 'bin'}"
        self.environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": f"{programs}:{os.environ['PATH']}"}
        self.run(f"kubectl config set-context --current --namespace={namespace}")

    def try_run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line, whatever comes of it."""
        return subprocess.run(
            line,
            shell=True,
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )

    def run(self, line: str) -> str:
        """Run a command line and return what it writes."""
        result = self.try_run(line)
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout


@pytest.fixture(scope="module")
def free_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the images and without an operator, which it is again at the end."""
    if cluster.try_kubectl("get", "crd", CRD).returncode == 0:
        pytest.skip("the cluster has an installation already, which a test must not touch")
    for target in TARGETS:
        name = f"docker.io/library/realtime-{target}:0.1.0"
        images.build(name, ROOT, "--target", target, "--build-arg", f"BASE_IMAGE={images.PYTHON}")
        cluster.load_image(name)
    cluster.load_image(redis_image())
    yield cluster
    cluster.kubectl("delete", "namespace", SYSTEM, "--ignore-not-found", "--wait=false")
    cluster.kubectl("delete", "crd", CRD, "--ignore-not-found")
    wait_until(lambda: cluster.try_kubectl("get", "namespace", SYSTEM).returncode != 0, 120)


def redis_image() -> str:
    """Make the resource's default image of Redis, which a cluster without a way out cannot pull."""
    context = ROOT / "tests" / "cluster" / "node" / "images"
    return images.build(REDIS, context, "-f", str(context / "redis.Containerfile"))


@pytest.fixture
def shell(free_cluster: Cluster, namespace: Namespace, tmp_path: Path) -> Shell:
    return Shell(free_cluster, namespace.name, tmp_path)


def owned(cluster: Cluster, namespace: str) -> set[str]:
    """Return uids of what the operator has made in a namespace."""
    kinds = "deployments,statefulsets,services,configmaps,secrets"
    made = cluster.get(kinds, "-n", namespace, "-l", f"app.kubernetes.io/managed-by={OPERATOR}")
    return {one["metadata"]["uid"] for one in made}


def test_the_documented_commands_bring_the_example_to_life_and_its_removal_leaves_what_runs(
    free_cluster: Cluster, namespace: Namespace, shell: Shell
) -> None:
    lines = documented(README, "On Kubernetes")
    # Here buildah has built them, and they are in the cluster: it has no engine, and no registry to push to.
    assert lines[: len(TARGETS)] == [f"docker build --target {one} -t realtime-{one}:0.1.0 ." for one in TARGETS]
    (installing, *_, showing) = commands = lines[len(TARGETS) :]
    assert installing.startswith("helm install")
    assert showing.startswith("realtime-gateway status")
    assert [line for line in documented(PAGE, "Install") if line in commands] == commands, "the page says the same"
    answers = [shell.run(line) for line in commands]
    assert answers[-1].startswith(f"chat in namespace {namespace.name}: ")
    # The phase may still be RollingOut: new pods serve before they count as available.
    assert re.search(r"^ +Ready +True +AllServing ", answers[-1], re.MULTILINE)
    asked = r"├─ chat-.*: ready, (epoch \d+|layer not used yet), \d+ connections?$"
    assert re.search(asked, answers[-1], re.MULTILINE)

    second = shell.try_run(f"helm install second charts/realtime-gateway -n {SYSTEM} --set crds.install=false")
    assert f"Namespace {SYSTEM} already has an operator, {OPERATOR}: install this one into" in second.stderr

    # Without an operator all goes on, and the next one takes over what there is.
    before = owned(free_cluster, namespace.name)
    shell.run(f"helm uninstall realtime-gateway -n {SYSTEM} --wait")
    assert namespace.get("rtg", "chat")["metadata"]["name"] == "chat"
    assert shell.try_run("realtime-gateway status chat").returncode == 0
    shell.run(installing)
    namespace.kubectl("patch", "rtg", "chat", "--type=merge", "-p", '{"spec": {"replicas": 1}}')
    wait_until(lambda: namespace.get("deployment", "chat")["spec"]["replicas"] == 1, 90)
    assert owned(free_cluster, namespace.name) >= before

    namespace.kubectl("delete", "rtg", "chat")
    wait_until(lambda: not owned(free_cluster, namespace.name), 60)
    shell.run(f"helm uninstall realtime-gateway -n {SYSTEM} --wait")


def used(entries: list[Object]) -> set[tuple[str, str, str]]:
    """Return (API group, resource, verb) of requests; applying what was not there counts as creating it."""
    result = set()
    for entry in entries:
        if (what := entry.get("objectRef")) is not None:
            resource = "/".join(filter(None, (what["resource"], what.get("subresource"))))
            created = entry["verb"] == "patch" and entry.get("responseStatus", {}).get("code") == 201
            result.add((what.get("apiGroup", ""), resource, "create" if created else entry["verb"]))
    return result


def test_the_operator_asks_for_nothing_that_it_must_not_and_needs_what_it_may(
    own_cluster: OwnCluster, free_cluster: Cluster
) -> None:
    entries = own_cluster.audited(f"system:serviceaccount:{SYSTEM}:{OPERATOR}")
    assert entries, "no operator has run: this reads what the test before has left"
    refused = [one for one in entries if one.get("responseStatus", {}).get("code") == 403]
    # Uninstalling takes its rights away before it has ended, when it gives the lead back.
    forbidden = [one["requestURI"] for one in refused if one["objectRef"]["resource"] != "leases"]
    assert not forbidden
    table = {**rights.IN_SERVED_NAMESPACES, **rights.IN_ITS_OWN_NAMESPACE}
    allowed = {(*place, verb) for place, verbs in table.items() for verb in verbs}
    asked = used(entries) - {("authorization.k8s.io", "selfsubjectaccessreviews", "create")}  # everybody may ask that
    assert asked <= allowed
    # One installation without trouble shows the better part of them; the rest needs drift, upgrades and a Gateway API.
    unused = {one for one in allowed - asked if one[2] in {"list", "watch", "create"}}
    assert unused <= {
        ("gateway.networking.k8s.io", "httproutes", "list"),
        ("gateway.networking.k8s.io", "httproutes", "watch"),
        ("gateway.networking.k8s.io", "httproutes", "create"),
        ("networking.k8s.io", "ingresses", "create"),
        ("", "pods/eviction", "create"),
        ("events.k8s.io", "events", "list"),
    }


def test_kustomize_installs_an_operator_that_runs_under_the_restricted_standard(
    free_cluster: Cluster, shell: Shell
) -> None:
    (installing,) = (line for line in documented(PAGE, "Without Helm") if line.startswith("kubectl apply -k"))
    shell.run(f"kubectl delete crd {CRD} --ignore-not-found")
    shell.run(installing)
    shell.run(f"kubectl -n {SYSTEM} rollout status deployment/{OPERATOR} --timeout=2m")
    assert "pod-security.kubernetes.io/enforce" in json.dumps(free_cluster.get("namespace", SYSTEM))
    wait_until(lambda: lease_holder(free_cluster) in pods(free_cluster), 60)
    shell.run("kubectl delete -k manifests --wait=false --ignore-not-found")


def lease_holder(cluster: Cluster) -> str:
    found = cluster.try_kubectl("-n", SYSTEM, "get", "lease", OPERATOR, "-o", "jsonpath={.spec.holderIdentity}")
    return found.stdout


def pods(cluster: Cluster) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.get("pods", "-n", SYSTEM)}
