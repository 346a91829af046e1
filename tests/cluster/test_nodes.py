"""More than one node: pods talk across them, spread over them, and survive the loss of one."""

from __future__ import annotations

import pytest

from tests.cluster import echo
from tests.cluster.cluster import ClientPod, Namespace, Object, OwnCluster
from tests.cluster.waiting import wait_until


@pytest.fixture
def two_nodes(own_cluster: OwnCluster) -> OwnCluster:
    """The cluster, if it has a second node to lose."""
    if len(own_cluster.nodes) < 2:
        pytest.skip("the cluster has one node; REALTIME_GATEWAY_TEST_NODES=2 would give it two")
    return own_cluster


def spread(replicas: int) -> Object:
    """Return a Deployment `echo` with one pod on each node."""
    stateful = echo.pods(replicas)
    constraint = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": echo.LABELS},
    }
    template = stateful["spec"]["template"]
    template["spec"]["topologySpreadConstraints"] = [constraint]
    spec = {"replicas": replicas, "selector": stateful["spec"]["selector"], "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "echo"}, "spec": spec}


def node_of(pod: Object) -> str:
    return str(pod["spec"]["nodeName"])


def ready_pods(namespace: Namespace) -> list[Object]:
    pods = namespace.get("pods", "-l", "app=echo")
    return [
        pod
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", []))
    ]


def test_pods_spread_over_nodes_and_reach_each_other(two_nodes: OwnCluster, namespace: Namespace) -> None:
    namespace.apply(echo.service(), spread(2))
    namespace.wait_for_rollout("deployment/echo")
    pods = ready_pods(namespace)
    assert {node_of(pod) for pod in pods} == set(two_nodes.nodes[:2])
    client = ClientPod(namespace)
    for pod in pods:
        assert client.fetch(f"http://{pod['status']['podIP']}:8000").strip() == pod["metadata"]["name"]


def test_a_node_that_loses_its_power_is_replaced_and_comes_back(two_nodes: OwnCluster, namespace: Namespace) -> None:
    namespace.apply(echo.service(), spread(2))
    namespace.wait_for_rollout("deployment/echo")
    kept, lost = two_nodes.nodes[:2]
    two_nodes.kill_node(lost)
    try:
        wait_until(lambda: [node_of(pod) for pod in ready_pods(namespace)] == [kept, kept], 90)
    finally:
        two_nodes.start_node(lost)
    namespace.cluster.kubectl("wait", "--for=condition=Ready", f"node/{lost}", "--timeout=60s")
    namespace.kubectl("scale", "deployment/echo", "--replicas=3")
    wait_until(lambda: {node_of(pod) for pod in ready_pods(namespace)} == {kept, lost}, 60)


def test_a_drained_node_gives_its_pods_up_one_by_one(two_nodes: OwnCluster, namespace: Namespace) -> None:
    budget = {"minAvailable": 1, "selector": {"matchLabels": echo.LABELS}}
    policy = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "echo"}, "spec": budget}
    namespace.apply(echo.service(), spread(2), policy)
    namespace.wait_for_rollout("deployment/echo")
    node = two_nodes.nodes[1]
    ours = f"--pod-selector=app={echo.LABELS['app']}"
    try:
        two_nodes.kubectl("drain", node, "--ignore-daemonsets", ours, "--timeout=60s")
        wait_until(lambda: [node_of(pod) for pod in ready_pods(namespace)] == [two_nodes.nodes[0]] * 2, 60)
    finally:
        two_nodes.kubectl("uncordon", node)
