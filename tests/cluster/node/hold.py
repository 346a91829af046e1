"""Start a cluster, say where it is, and hold it until standard input ends: `python -m tests.cluster.node.hold [NODES]`.

Whoever starts this keeps the other end of the pipe, so that the cluster ends with them, however they end. On a
terminal it is a cluster to play with, until Ctrl-C. Lines on standard input are orders (`kill 2`, `start 2`); each is
answered by one line of JSON, and the first line says where everything is.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.cluster.node.doorway import Dialler, Doorway
from tests.cluster.node.machine import CACHE, HERE, Machine, NodeFailed, node_address, node_name, wait_for

KUBECTL = str(CACHE / "bin" / "kubectl")


class Held:
    """A running cluster with its doorways."""

    def __init__(self, node_count: int) -> None:
        self.machine = Machine(node_count)
        self.kubeconfig = self.machine.state / "kubeconfig"
        self.begin = time.monotonic()

    def say(self, what: str) -> None:
        print(f"{time.monotonic() - self.begin:5.1f} s: {what}", file=sys.stderr, flush=True)

    async def start(self) -> dict[str, object]:
        """Start everything, in parallel where that helps, and return where it is."""
        machine = self.machine
        machine.prepare()
        machine.start_control_plane()
        dialler = Dialler(machine.control_plane)
        api = await Doorway(dialler, ("10.89.0.1", 6443)).open()
        ingress = [[(node_address(number), port) for number in machine.numbers] for port in (80, 443)]
        http, https = [await Doorway(dialler, *addresses).open() for addresses in ingress]
        admin = (machine.state / "pki" / "admin.conf").read_text()
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(re.sub(r"https://[\d.:]+", f"https://127.0.0.1:{api.port}", admin))
        # Not the loop's own threads, whose end asyncio.run waits for: a start may be given up at any time.
        await asyncio.get_running_loop().run_in_executor(ThreadPoolExecutor(1), self._bring_up)
        return {
            "state": str(machine.state),
            "kubeconfig": str(self.kubeconfig),
            "ingress": ["127.0.0.1", http.port],
            "ingress_tls": ["127.0.0.1", https.port],
            "control_plane": machine.control_plane,
            "nodes": [node_name(number) for number in machine.numbers],
        }

    def _bring_up(self) -> None:
        machine = self.machine
        for number in machine.numbers:
            machine.start_node(number)
        with ThreadPoolExecutor() as pool:
            loading = [pool.submit(machine.load_images, number) for number in machine.numbers]
            wait_for("API server", 90, lambda: self._kubectl("get", "--raw", "/readyz").returncode == 0)
            self.say("the API server answers")
            applied = self._kubectl("apply", "--server-side", "-f", str(HERE / "services"))
            if applied.returncode:
                raise NodeFailed(applied.stderr)
            for each in loading:
                each.result()
        self.say("images are there")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        for number in self.machine.numbers:
            name = f"node/{node_name(number)}"
            wait_for(name, 60, partial(self._exists, name))
            self._must("wait", "--for=condition=Ready", name, "--timeout=60s")
        for kind in ("daemonset", "deployment"):
            self._must("-n", "kube-system", "rollout", "status", kind, "--timeout=120s")
        self.say("the cluster is ready")

    def _exists(self, name: str) -> bool:
        return self._kubectl("get", name).returncode == 0

    def _kubectl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [KUBECTL, "--kubeconfig", str(self.kubeconfig), *arguments]
        environment = {**os.environ, "KUBECACHEDIR": str(self.machine.state / "kubectl-cache")}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def _must(self, *arguments: str) -> None:
        result = self._kubectl(*arguments)
        if result.returncode:
            raise NodeFailed(f"kubectl {' '.join(arguments)}: {result.stderr}")

    def obey(self, order: str) -> dict[str, object]:
        """Do what a line of standard input asks."""
        verb, _, number = order.partition(" ")
        try:
            if verb == "kill":
                self.machine.kill_node(int(number))
            elif verb == "start":
                self.machine.start_node(int(number))
            else:
                return {"error": f"{verb!r} is neither kill nor start"}
        except Exception as error:  # whoever gave the order gets the answer
            return {"error": repr(error)}
        return {}


async def lines_of_standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def serve(held: Held) -> None:
    """Start the cluster and obey orders until standard input ends, which may be before the cluster is ready."""
    orders = await lines_of_standard_input()
    next_order = asyncio.ensure_future(orders.readline())
    starting = asyncio.ensure_future(held.start())
    await asyncio.wait([starting, next_order], return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        return
    print(json.dumps(starting.result()), flush=True)
    if sys.stdin.isatty():
        print(f"export KUBECONFIG={held.kubeconfig}   # and Ctrl-C ends it", file=sys.stderr, flush=True)
    while order := await next_order:
        print(json.dumps(await asyncio.to_thread(held.obey, order.decode().strip())), flush=True)
        next_order = asyncio.ensure_future(orders.readline())


async def until_told(held: Held) -> None:
    """Hold the cluster until standard input ends or a signal comes, also while it is starting."""
    serving = asyncio.ensure_future(serve(held))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, serving.cancel)
    await asyncio.wait([serving])
    if not serving.cancelled() and (error := serving.exception()):
        raise error


def main() -> int:
    held = Held(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    try:
        asyncio.run(until_told(held))
    except (NodeFailed, subprocess.CalledProcessError, OSError) as error:
        print(f"the cluster failed: {error}", file=sys.stderr)
        return 1
    finally:
        held.say("stopping")
        keep_logs(held.machine.state)
        held.machine.kill()
        held.say("every process has ended")
        held.machine.remove()
        held.say("all of it is gone")
    return 0


def keep_logs(state: Path) -> None:
    """Keep the last run's logs of the cluster's own programs in the cache."""
    last = CACHE / "last-logs"
    subprocess.run(["rm", "-rf", last], check=False)
    for log in [*state.glob("*/log/*.log"), *state.glob("*/first-process.log")]:
        name = "-".join(part for part in log.relative_to(state).parts if part != "log")
        last.mkdir(exist_ok=True)
        log.replace(last / name)


if __name__ == "__main__":
    os._exit(main())  # at once, also with a thread that still waits for a start that was given up
