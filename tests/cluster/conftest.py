"""Fixtures of the tests on a real Kubernetes, which run when asked for: `make test-cluster`, `pytest tests/cluster`."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cluster import artefacts, images
from tests.cluster.cluster import ROOT, Cluster, Namespace, OwnCluster
from tests.cluster.node.machine import CACHE, HERE
from tests.cluster.operator_bed import CRD, install_operator, uninstall_operator

BUILD = HERE / "build.sh"

# program → the Debian package that has it
PROGRAMS = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "openssl": "openssl",
    "gcc": "gcc",
    "nsenter": "util-linux",
    "sysctl": "procps",
}
# It builds Kubernetes and the programs of the nodes.
OLDEST_GO = (1, 26)
# What a node is made of.
NAMESPACES = ("--net", "--mount", "--pid", "--ipc", "--uts", "--cgroup")
FILES = {"/usr/lib/cni/bridge": "containernetworking-plugins"}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave these tests out unless they are named: they need root, minutes and a gigabyte of memory."""
    here = Path(__file__).parent
    named = [Path(config.invocation_params.dir, argument.split("::")[0]).resolve() for argument in config.args]
    return None if any(path == here or here in path.parents for path in named) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count a test's own time only: the first one builds and starts the cluster."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300, func_only=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Keep what a test that failed leaves, before any fixture of it, or of its module, is torn down."""
    report = yield
    found = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and found is not None:  # type: ignore[attr-defined]
        artefacts.keep_all(found, item.nodeid.removeprefix("tests/cluster/"))
    return report


def go_version() -> tuple[int, ...]:
    """Return the version of Go on this machine; () when there is none."""
    program = shutil.which("go")
    if program is None:
        return ()
    said = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, cwd="/", check=False).stdout
    return tuple(int(word) for word in re.findall(r"\d+", said)[:2])


def missing() -> str | None:
    """Return what this machine lacks to run a cluster of its own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "a cluster of its own needs Linux and root; KUBECONFIG names another"
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]
    packages += [package for file, package in FILES.items() if not Path(file).exists()]
    if packages:
        return f"Debian packages are missing: apt-get install {' '.join(packages)}"
    if not (CACHE / "bin" / "kube").exists() and go_version() < OLDEST_GO:
        return "Go {}.{} or newer is missing, which builds Kubernetes: https://go.dev/dl/".format(*OLDEST_GO)
    tried = subprocess.run(["unshare", *NAMESPACES, "--fork", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"root may not make namespaces here, as in a container without --privileged: {tried.stderr.strip()}"
    return None


@pytest.fixture(scope="module", autouse=True)
def no_process_left_behind() -> Iterator[None]:
    """Each module ends what it started; the cluster, which all modules share, ends with the session."""

    def children() -> set[psutil.Process]:
        return {child for child in psutil.Process().children() if "tests.cluster.node.hold" not in child.cmdline()}

    before = children()
    yield
    left = {child for child in children() - before if child.is_running()}
    assert not left, f"left running: {left}"


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running cluster: the one that KUBECONFIG names, else one of our own, which ends with the test run."""
    kubeconfig = os.environ.get("KUBECONFIG")
    if kubeconfig:
        host, _, port = os.environ.get("REALTIME_GATEWAY_TEST_INGRESS", "").rpartition(":")
        yield Cluster(Path(kubeconfig), (host, int(port)) if port else None)
        return
    if lack := missing():
        pytest.skip(lack)
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first build takes minutes: show its progress
        subprocess.run([BUILD], check=True)
    own = OwnCluster(int(os.environ.get("REALTIME_GATEWAY_TEST_NODES", "2")), artefacts.FOLDER / "start.log")
    try:
        yield own
    finally:
        own.stop()


@pytest.fixture
def own_cluster(cluster: Cluster) -> OwnCluster:
    """The cluster, where the test may break its parts; skipped on another's."""
    if not isinstance(cluster, OwnCluster):
        pytest.skip("this test breaks parts of the cluster, and KUBECONFIG names one that is not ours")
    return cluster


numbers = itertools.count(1)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    """A namespace for this test."""
    made = Namespace.make(cluster, f"test-{os.getpid()}-{next(numbers)}")
    yield made
    cluster.kubectl("delete", "namespace", made.name, "--wait=false")


def project_image(cluster: Cluster, target: str) -> str:
    """Build a target of the project's Dockerfile and load it into the cluster."""
    name = f"realtime-gateway.test/{target}:1"
    images.build(name, ROOT, "--target", target, "--build-arg", f"BASE_IMAGE={images.PYTHON}")
    cluster.load_image(name)
    return name


@pytest.fixture(scope="session")
def gateway_image(cluster: Cluster) -> str:
    """The image of the data plane, known to the cluster."""
    return project_image(cluster, "gateway")


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """The image of the operator, known to the cluster."""
    return project_image(cluster, "operator")


@pytest.fixture(scope="session")
def operator(cluster: Cluster, operator_image: str, gateway_image: str) -> Iterator[None]:
    """The operator of this checkout, installed by its manifests; taken away again from another's cluster."""
    foreign = not isinstance(cluster, OwnCluster)
    if foreign and cluster.try_kubectl("get", "crd", CRD).returncode == 0:
        pytest.skip(f"the cluster has an installation already (its definition {CRD}), which a test must not touch")
    install_operator(cluster, operator_image, gateway_image)
    yield
    if foreign:
        uninstall_operator(cluster)
