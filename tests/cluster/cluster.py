"""A Kubernetes cluster as tests see it: kubectl, its ingress, its images. The project's own, or any other's."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import websockets

from tests.cluster import images
from tests.cluster.node.doorway import Address, Dialler
from tests.cluster.node.machine import CACHE
from tests.cluster.waiting import wait_until

ROOT = Path(__file__).parents[2]
KUBECTL_SECONDS = 120.0

Object = dict[str, Any]


class KubectlFailed(AssertionError):
    """kubectl ended with an error; the message is what it wrote."""


class Cluster:
    """What every cluster can do: the one that KUBECONFIG names."""

    nodes: Sequence[str] = ()
    environment: Mapping[str, str] = {}

    def __init__(self, kubeconfig: Path, ingress: Address | None, kubectl: str = "kubectl") -> None:
        self.kubeconfig = kubeconfig
        self.ingress = ingress
        self.program = kubectl
        self.namespaces: list[str] = []  # that tests have made

    def try_kubectl(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever comes of it; ``given`` is its standard input."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), **self.environment}
        return subprocess.run(
            [self.program, *arguments],
            input=given,
            env=environment,
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
        )

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Run kubectl and return what it writes.

        Raises:
            KubectlFailed: it ended with an error.
        """
        result = self.try_kubectl(*arguments, given=given)
        if result.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def get(self, *arguments: str) -> Any:
        """Return an object, or the items of a list, as `kubectl get` finds them."""
        found = json.loads(self.kubectl("get", "-o", "json", *arguments))
        return found["items"] if found["kind"].endswith("List") else found

    def apply(self, *objects: Object) -> str:
        """Apply objects with server-side apply."""
        return self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(as_list(objects)))

    def connect(self, host: str, path: str = "/", **options: Any) -> websockets.connect:
        """Open a WebSocket through the ingress, as the host that the Ingress object names: `async with` this."""
        return websockets.connect(f"ws://{host}{path}", sock=self.dial_ingress(), **options)

    def dial_ingress(self) -> socket.socket:
        """Open a TCP connection to the ingress's HTTP port."""
        if self.ingress is None:
            pytest.skip("REALTIME_GATEWAY_TEST_INGRESS=host:port does not say where the cluster's ingress listens")
        return socket.create_connection(self.ingress, timeout=5)

    def status_of(self, host: str, path: str = "/") -> int:
        """Return the HTTP status of a GET through the ingress."""
        with self.dial_ingress() as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            return int(connection.makefile("rb").readline().split()[1])

    def load_image(self, name: str) -> None:
        """Make an image that buildah has built known to every node."""
        loader = os.environ.get("REALTIME_GATEWAY_LOAD_IMAGE")
        if not loader:
            pytest.skip(
                "REALTIME_GATEWAY_LOAD_IMAGE is not set: the command that loads an archive, "
                "for example `kind load image-archive`"
            )
        with tempfile.TemporaryDirectory() as directory:
            archive = images.archive(name, Path(directory))
            subprocess.run([*shlex.split(loader), str(archive)], check=True)


class OwnCluster(Cluster):
    """The cluster that this test run has started, and whose parts it may break."""

    def __init__(self, node_count: int, log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.cluster.node.hold", str(node_count)]
        with log.open("w") as errors:
            # A session of its own: Ctrl-C ends the tests first, and closing the pipe then ends the cluster.
            self.holder = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        answer = pipe(self.holder.stdout).readline()
        if not answer:
            self.holder.communicate()
            raise RuntimeError(f"the cluster did not start:\n{log.read_text()}\nits logs: {CACHE / 'last-logs'}")
        where = json.loads(answer)
        host, port = where["ingress"]
        super().__init__(Path(where["kubeconfig"]), (host, port), str(CACHE / "bin" / "kubectl"))
        self.nodes = where["nodes"]
        self.state = Path(where["state"])
        self.environment = {"KUBECACHEDIR": str(self.state / "kubectl-cache")}  # nothing of it stays in a home folder
        self.dialler = Dialler(where["control_plane"])

    def stop(self) -> None:
        self.dialler.close()
        pipe(self.holder.stdin).close()
        self.holder.wait(timeout=60)
        pipe(self.holder.stdout).close()

    # --- inside
    def dial(self, host: str, port: int) -> socket.socket:
        """Connect to a pod's or a node's address from within the cluster's network."""
        return self.dialler.dial((host, port))

    def on_node(self, node: str, *command: str) -> list[str]:
        """Return the command line that runs a command on a node."""
        pid = (self.state / node / "pid").read_text()
        return ["nsenter", "-t", pid, "-m", "-n", "-p", "-i", "-u", "-C", "--", *command]

    def run_on_node(self, node: str, *command: str) -> str:
        """Run a command on a node and return what it writes."""
        return subprocess.run(self.on_node(node, *command), check=True, capture_output=True, text=True).stdout

    def load_image(self, name: str) -> None:
        with tempfile.TemporaryDirectory() as directory:
            archive = images.archive(name, Path(directory))
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda node: self._import(archive, node), self.nodes))

    def _import(self, archive: Path, node: str) -> None:
        command = self.on_node(node, "ctr", "-n", "k8s.io", "images", "import", "--no-unpack", "-")
        with archive.open("rb") as content:
            subprocess.run(command, stdin=content, stdout=subprocess.DEVNULL, check=True)

    def audited(self, user: str) -> list[Object]:
        """Return the requests that a user has made so far, as the API server's audit log has them."""
        log = self.state / "control-plane" / "log" / "audit.log"
        entries = [json.loads(line) for line in log.read_text().splitlines()]
        return [entry for entry in entries if entry.get("impersonatedUser", entry["user"]).get("username") == user]

    # --- faults
    def kill(self, part: str, program: str) -> None:
        """Kill a program of the control plane or a node; it is started again after half a second."""
        self._signal(part, program)

    @contextmanager
    def without(self, part: str, program: str) -> Iterator[None]:
        """Keep a program of the control plane or of a node away, for example the API server."""
        paused = self.state / part / "paused" / program
        paused.touch()
        try:
            self._signal(part, program)
            yield
        finally:
            paused.unlink()

    def _signal(self, part: str, program: str) -> None:
        outer = (self.state / part / "pid").read_text()
        inner = (self.state / part / "running" / program).read_text().strip()
        subprocess.run(["nsenter", "-t", outer, "-m", "-p", "--", "kill", "-KILL", inner], check=True)

    def wait_until_it_answers(self, seconds: float = 60.0) -> None:
        wait_until(lambda: self.try_kubectl("get", "--raw", "/readyz").returncode == 0, seconds)

    def kill_node(self, node: str) -> None:
        """Cut a node's power."""
        self._order("kill", node)

    def start_node(self, node: str) -> None:
        """Power a node on again, with its disk as it was."""
        self._order("start", node)

    def _order(self, verb: str, node: str) -> None:
        orders = pipe(self.holder.stdin)
        orders.write(f"{verb} {node.removeprefix('node-')}\n")
        orders.flush()
        answer = json.loads(pipe(self.holder.stdout).readline())
        assert "error" not in answer, answer["error"]


class Namespace:
    """A namespace of the cluster for one test, or for those of a module."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    @classmethod
    def make(cls, cluster: Cluster, name: str) -> Namespace:
        """Make it; of a test that fails, everything in it is kept."""
        cluster.kubectl("create", "namespace", name)
        cluster.namespaces.append(name)
        return cls(cluster, name)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.name, *arguments, given=given)

    def try_kubectl(self, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return self.cluster.try_kubectl("-n", self.name, *arguments, given=given)

    def get(self, *arguments: str) -> Any:
        return self.cluster.get("-n", self.name, *arguments)

    def apply(self, *objects: Object) -> str:
        return self.kubectl("apply", "--server-side", "-f", "-", given=json.dumps(as_list(objects)))

    def wait_for_rollout(self, workload: str, seconds: float = 60.0) -> None:
        """Wait until all pods of `deployment/NAME` or `statefulset/NAME` are new and ready."""
        self.kubectl("rollout", "status", workload, f"--timeout={seconds:.0f}s")

    def wait_for(self, condition: str, target: str, seconds: float = 60.0) -> None:
        """Wait for a condition of an object, as `kubectl wait --for=CONDITION` does."""
        self.kubectl("wait", f"--for={condition}", target, f"--timeout={seconds:.0f}s")

    def run(self, pod: str, *command: str) -> str:
        """Run a command in a pod."""
        return self.kubectl("exec", pod, "--", *command)


class ClientPod:
    """A pod that talks to others: for what must come from inside, as NetworkPolicies and DNS."""

    FETCH = "import sys, urllib.request as r; sys.stdout.write(r.urlopen(sys.argv[1], timeout=3).read().decode())"
    TALK = (
        "import sys\n"
        "from websockets.sync.client import connect\n"
        "with connect(sys.argv[1], open_timeout=5) as socket:\n"
        "    for message in sys.argv[2:]:\n"
        "        socket.send(message)\n"
        "        print(socket.recv(timeout=5))\n"
    )

    def __init__(self, namespace: Namespace, labels: Mapping[str, str] | None = None, name: str = "client") -> None:
        self.namespace = namespace
        self.name = name
        container = {"name": "client", "image": images.ECHO, "command": ["sleep", "infinity"]}
        namespace.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": dict(labels or {})},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            }
        )
        namespace.wait_for("condition=Ready", f"pod/{name}")

    def fetch(self, url: str) -> str:
        """Return what a GET brings."""
        return self.namespace.run(self.name, "python3", "-c", self.FETCH, url)

    def can_fetch(self, url: str) -> bool:
        command = ("exec", self.name, "--", "python3", "-c", self.FETCH, url)
        return self.namespace.try_kubectl(*command).returncode == 0

    def talk(self, url: str, *messages: str) -> list[str]:
        """Send messages over a WebSocket and return the answer to each."""
        return self.namespace.run(self.name, "python3", "-c", self.TALK, url, *messages).splitlines()


def as_list(objects: Sequence[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": list(objects)}


def pipe(end: IO[str] | None) -> IO[str]:
    """Return an end of a pipe that was asked for, and so is there."""
    assert end is not None
    return end
