"""A Kubernetes cluster on this one machine: a control plane and its nodes, each a process with namespaces of its own.

The control plane's namespaces hold a bridge; a node's are inside them, with a cable to the bridge. So the end of the
control plane's first process ends everything, and a node that is killed has lost its power: nothing in it says goodbye.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.cluster.node import cgroups

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realtime-gateway" / "cluster"
RUNNING = CACHE / "running"
NAMESPACES = ("-m", "-n", "-p", "-i", "-u")
MODULES = ("br_netfilter", "overlay", "nf_conntrack")  # where the kernel has them as modules; elsewhere they are there

# Enter groups first, since a namespace of groups has its root where its maker was.
ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'


class NodeFailed(Exception):
    """The cluster did not start, or did not do what it was told; the message ends with what its logs say."""


def wait_for(what: str, seconds: float, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NodeFailed(f"no {what} within {seconds:.0f} s")
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def node_name(number: int) -> str:
    return f"node-{number}"


def node_address(number: int) -> str:
    return f"10.89.0.1{number}"


class Machine:
    """One cluster, its files below ``state`` and its control groups."""

    def __init__(self, node_count: int) -> None:
        if {"var", "run"} & set(CACHE.parts[1:2]):
            raise NodeFailed(
                f"{CACHE} is hidden inside a node, which has a /var and a /run of its own: set XDG_CACHE_HOME"
            )
        self.name = f"rtg-{os.getpid()}"
        self.state = RUNNING / self.name
        self.numbers = range(1, node_count + 1)
        self.groups: list[Path] = []
        self.lock = -1
        self.control_plane = 0
        self.nodes: dict[int, int] = {}

    # --- start
    def prepare(self) -> None:
        """Make the files, keys and control groups; remove what a cluster that was killed has left."""
        RUNNING.mkdir(parents=True, exist_ok=True)
        for left in RUNNING.iterdir():
            remove_if_dead(left)
        (self.state / "pki").mkdir(parents=True)
        self.lock = os.open(self.state / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        for module in MODULES if shutil.which("modprobe") else ():
            subprocess.run(["modprobe", "--quiet", module], check=False, stderr=subprocess.DEVNULL)
        addresses = [f"{node_name(number)}={node_address(number)}" for number in self.numbers]
        subprocess.run([HERE / "certificates.sh", self.state / "pki", *addresses], check=True)
        self.groups = [cgroups.make(parent, self.name) for parent in cgroups.parents()]
        (self.state / "cgroups").write_text(json.dumps([str(group) for group in self.groups]))

    def start_control_plane(self) -> None:
        # When this process is killed its child is too, and takes the namespaces with it.
        outer = self._spawn(
            "control-plane",
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "unshare",
                "--net",
                "--mount",
                "--pid",
                "--ipc",
                "--uts",
                "--fork",
                "--kill-child",
                str(HERE / "control_plane.sh"),
                str(self.state),
            ],
        )
        self.control_plane = self._descendant("control-plane", outer, 1)
        wait_for("bridge of the control plane", 10, (self.state / "control-plane" / "ground-laid").exists)

    def start_node(self, number: int) -> None:
        """Power a node on; its disk (images, volumes) is as it was left."""
        name = node_name(number)
        enter = [
            "nsenter",
            "-t",
            str(self.control_plane),
            *NAMESPACES,
            "--",
            "unshare",
            "--net",
            "--mount",
            "--pid",
            "--ipc",
            "--uts",
            "--cgroup",
            "--fork",
            "--kill-child",
            str(HERE / "node.sh"),
            str(self.state),
            str(number),
        ]
        self.nodes[number] = self._descendant(name, self._spawn(name, enter), 2)
        cable = f"cable{number}"
        link = ["link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(self.nodes[number])]
        self._ip(*link)
        self._ip("link", "set", cable, "master", "bridge0", "up")

    def _ip(self, *arguments: str) -> None:
        subprocess.run(["nsenter", "-t", str(self.control_plane), "-n", "--", "ip", *arguments], check=True)

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        groups = [str(cgroups.make(group, name)) for group in self.groups]
        (self.state / name).mkdir(exist_ok=True)
        with (self.state / name / "first-process.log").open("ab") as log:
            return subprocess.Popen(
                ["sh", "-c", ENTER, "sh", *groups, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _descendant(self, name: str, process: subprocess.Popen[bytes], generations: int) -> int:
        """Return the process that is so many generations below one that has just been started."""
        pids = [process.pid]

        def found() -> bool:
            if process.poll() is not None:
                raise NodeFailed(f"{name} ended: {(self.state / name / 'first-process.log').read_text()[-2000:]}")
            while len(pids) <= generations and (below := children(pids[-1])):
                pids.append(below[0])
            return len(pids) > generations

        wait_for(f"first process of {name}", 10, found)
        (self.state / name / "pid").write_text(str(pids[-1]))
        return pids[-1]

    # --- use
    def inside(self, number: int, *command: str) -> list[str]:
        """Return the command line that runs a command on a node."""
        return ["nsenter", "-t", str(self.nodes[number]), *NAMESPACES, "-C", "--", *command]

    def load_images(self, number: int) -> None:
        """Bring the node's own images from the layout in the cache; they are unpacked when a pod asks for them."""
        ready = self.inside(number, "ctr", "version")
        wait_for(
            f"containerd on {node_name(number)}",
            30,
            lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0,
        )
        with subprocess.Popen(["tar", "-C", CACHE / "images", "-c", "."], stdout=subprocess.PIPE) as layout:
            subprocess.run(
                self.inside(number, "ctr", "-n", "k8s.io", "images", "import", "--no-unpack", "-"),
                stdin=layout.stdout,
                stdout=subprocess.DEVNULL,
                check=True,
            )

    def kill_node(self, number: int) -> None:
        """Cut a node's power."""
        pid = self.nodes.pop(number)
        os.kill(pid, signal.SIGKILL)
        wait_for(f"end of {node_name(number)}", 30, lambda: not Path(f"/proc/{pid}").exists())
        for group in self.groups:
            cgroups.remove(group / node_name(number))

    # --- end
    def kill(self) -> None:
        """End every process of the cluster."""
        if self.control_plane:
            with suppress(ProcessLookupError):
                os.kill(self.control_plane, signal.SIGKILL)
            wait_for("end of the control plane", 30, lambda: not Path(f"/proc/{self.control_plane}").exists())

    def remove(self) -> None:
        """Remove the control groups and the files."""
        remove_state(self.state)
        if self.lock >= 0:
            os.close(self.lock)


def remove_state(state: Path) -> None:
    recorded = state / "cgroups"
    for group in json.loads(recorded.read_text()) if recorded.exists() else []:
        cgroups.remove(Path(group))
    if state.exists():
        shutil.rmtree(state)


def remove_if_dead(state: Path) -> None:
    """Remove a cluster's files and control groups, unless the process that holds it is alive."""
    try:
        lock = os.open(state / "lock", os.O_RDWR)
    except FileNotFoundError:
        return  # another run is just about to lock it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        remove_state(state)
    finally:
        os.close(lock)
