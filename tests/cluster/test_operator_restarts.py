"""Operators and API servers that are killed: everything goes on, is finished, and nothing is written twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.cluster.cluster import Namespace, Object, OwnCluster
from tests.cluster.operator_bed import ACCOUNT, WRITES, Gateway, operators, operators_run, restarts, say
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")


def kill_operators(cluster: OwnCluster, signal: str = "SIGKILL") -> None:
    """Send a signal to both operators' processes; the kubelet starts them again."""
    for pod in operators(cluster):
        (container,) = pod["status"]["containerStatuses"]
        identity = container["containerID"].removeprefix("containerd://")
        task = ("ctr", "-n", "k8s.io", "tasks", "kill", "--signal", signal, identity)
        cluster.run_on_node(pod["spec"]["nodeName"], *task)


def all_restarts(cluster: OwnCluster) -> int:
    return sum(map(restarts, operators(cluster)))


def exists(namespace: Namespace, name: str) -> Callable[[], bool]:
    return lambda: namespace.try_kubectl("get", name).returncode == 0


# How far a resource has come when its operators are killed.
STAGES = {
    "with the first addresses": "service/chat-redis-0-0",
    "with servers that nobody leads yet": "statefulset/chat-redis-0",
    "with a host list and no pods for it": "configmap/chat-hosts",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.timeout(600, func_only=True)
async def test_operators_that_are_killed_in_the_middle_of_a_start_finish_it(
    namespace: Namespace, own_cluster: OwnCluster, stage: str
) -> None:
    wait_until(lambda: operators_run(own_cluster), 120)
    before = all_restarts(own_cluster)
    gateway = Gateway(namespace)
    gateway.apply()
    wait_until(exists(namespace, STAGES[stage]), 60)
    kill_operators(own_cluster)
    # The kubelet waits longer before each further start of a container that ends.
    wait_until(lambda: all_restarts(own_cluster) >= before + 2, 180)
    gateway.wait_until_ready(240)
    await gateway.chat()


@pytest.mark.timeout(600, func_only=True)
def test_operators_that_are_told_to_end_do_so_in_order(own_cluster: OwnCluster) -> None:
    wait_until(lambda: operators_run(own_cluster), 180)
    before = all_restarts(own_cluster)
    kill_operators(own_cluster, "SIGTERM")
    wait_until(lambda: all_restarts(own_cluster) >= before + 2, 240)
    ended = [pod["status"]["containerStatuses"][0]["lastState"]["terminated"] for pod in operators(own_cluster)]
    assert [one["exitCode"] for one in ended] == [0, 0]


def writes(cluster: OwnCluster, namespace: str) -> list[Object]:
    return [
        one
        for one in cluster.audited(ACCOUNT)
        if one["verb"] in WRITES and one.get("objectRef", {}).get("namespace") == namespace
    ]


@pytest.mark.timeout(600, func_only=True)
def test_a_new_leader_passes_over_what_is_in_order_without_a_single_write(
    namespace: Namespace, own_cluster: OwnCluster
) -> None:
    wait_until(lambda: operators_run(own_cluster), 180)
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    before, started = len(writes(own_cluster, namespace.name)), all_restarts(own_cluster)
    kill_operators(own_cluster)
    wait_until(lambda: all_restarts(own_cluster) >= started + 2 and operators_run(own_cluster), 180)
    # One repair shows that its passes happen; each of them looks at every object.
    namespace.kubectl("delete", "configmap/chat-resource", "--wait=false")
    wait_until(exists(namespace, "configmap/chat-resource"), 90)
    time.sleep(2)  # the passes after it may write nothing, so there is no condition to wait for
    made = [
        (one["verb"], one["objectRef"]["resource"], one["objectRef"].get("name"))
        for one in writes(own_cluster, namespace.name)[before:]
    ]
    # The repair is told, too: Progressing in the status, and its events.
    assert [one for one in made if one[1] not in {"realtimegateways", "events"}] == [
        ("patch", "configmaps", "chat-resource")
    ]


@pytest.mark.timeout(600, func_only=True)
async def test_the_api_server_is_killed_while_people_chat(namespace: Namespace, own_cluster: OwnCluster) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()

    def restart() -> None:
        own_cluster.kill("control-plane", "kube-apiserver")
        own_cluster.wait_until_it_answers()

    await gateway.chat(during=restart)
    begun = time.monotonic()
    gateway.apply(replicas=3)
    wait_until(lambda: namespace.get("deployment/chat")["spec"]["replicas"] == 3, 120)
    say(f"a change is followed {time.monotonic() - begun:.1f} s after the API server was back")
    gateway.wait_until_ready(240)
