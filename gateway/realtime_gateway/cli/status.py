"""`realtime-gateway status NAME`: one RealtimeGateway on a cluster as a tree; exit code 1 when it is not Ready.

It reads through kubectl, and so with everybody's own configuration, plug-ins for logging in included.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from realtime_gateway.cli.status_tree import GATEWAY, Facts, Pod, Process, facts_of, is_ready, lines
from realtime_gateway.errors import ConfigurationError, StartError

RESOURCE = "realtimegateways.realtime-gateway.io"
SHOWN = "deployments,statefulsets,services,pods"
MADE_BY_THE_OPERATOR = "app.kubernetes.io/managed-by=realtime-gateway-operator"
KUBECTL_SECONDS = 30.0
ASKED_AT_ONCE = 8
ADMIN_PORT = 8001
# Runs in a gateway's container, whose admin port network policies may close to everybody outside.
ASK = f"""
import sys, urllib.request
try:
    print(urllib.request.urlopen("http://127.0.0.1:{ADMIN_PORT}/healthz", timeout=3).read().decode())
except OSError as error:
    sys.exit(str(error))
"""

KLOG = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d")

Kubectl = Callable[[Sequence[str]], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("name", metavar="NAME", help="the RealtimeGateway")
    parser.add_argument("-n", "--namespace", help="where it is (default: that of kubectl's context)")
    parser.add_argument("--context", help="kubectl's context (default: its current one)")


def run(arguments: argparse.Namespace) -> int:
    """Print the tree."""
    options = [f"--{name}={value}" for name in ("context", "namespace") if (value := getattr(arguments, name))]
    facts = gather(arguments.name, lambda words: _kubectl([*options, *words]))
    print("\n".join(lines(facts)))
    return 0 if is_ready(facts.resource) else 1


def gather(name: str, kubectl: Kubectl) -> Facts:
    """Read everything that the tree shows.

    Raises:
        StartError: kubectl is missing or does not end.
        ConfigurationError: kubectl answers with an error: there is no such resource, cluster, or right.
    """
    resource = json.loads(kubectl(["get", RESOURCE, name, "-o", "json"]))
    # By the resource's own answer: kubectl's context may have changed in between.
    there = f"--namespace={resource['metadata']['namespace']}"
    selector = f"{MADE_BY_THE_OPERATOR},app.kubernetes.io/instance={name}"
    listed = json.loads(kubectl([there, "get", SHOWN, "-l", selector, "-o", "json"]))
    facts = facts_of(resource, listed["items"])
    asked = [pod for pod in facts.pods if pod.component == GATEWAY and pod.ready]
    return replace(facts, processes=_ask_all(asked, lambda words: kubectl([there, *words])))


def _ask_all(pods: Sequence[Pod], kubectl: Kubectl) -> Mapping[str, Process | str]:
    def ask(pod: Pod) -> Process | str:
        try:
            said = json.loads(kubectl(["exec", pod.name, "-c", GATEWAY, "--", "python3", "-c", ASK]))
            return Process(str(said["phase"]), int(said["epoch"]), sum(said["connections"].values()))
        except (ConfigurationError, StartError) as error:
            return error.message
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its answer is not one of a gateway"

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        return dict(zip((pod.name for pod in pods), pool.map(ask, pods), strict=True))


def _kubectl(words: Iterable[str]) -> str:
    program = shutil.which("kubectl")
    if program is None:
        raise StartError("kubectl is not on PATH.", "Install it: https://kubernetes.io/docs/tasks/tools/")
    command = [program, "--request-timeout=10s", *words]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=KUBECTL_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise StartError(f"kubectl did not end within {KUBECTL_SECONDS:g} s.", "Is the API server there?") from error
    if result.returncode:
        raise _refusal(result.stderr)
    return result.stdout


def _refusal(stderr: str) -> ConfigurationError:
    # What its library logs (klog's lines) says the same as the last line does, in more words and once per try.
    told = [line for line in stderr.splitlines() if not KLOG.match(line)]
    said = " ".join(" ".join(told).split()) or " ".join(stderr.split()) or "kubectl failed without a word."
    if "the server doesn't have a resource type" in said:
        return ConfigurationError(
            "This cluster does not know RealtimeGateways.",
            "Install the operator: helm install realtime-gateway charts/realtime-gateway -n realtime-gateway "
            "--create-namespace",
        )
    return ConfigurationError(said)
