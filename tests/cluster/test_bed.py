"""The test bed itself can do what the tests of the project need from a Kubernetes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import websockets

from tests.cluster import artefacts, echo
from tests.cluster.cluster import ClientPod, Cluster, KubectlFailed, Namespace, OwnCluster
from tests.cluster.waiting import until, wait_until


def test_a_statefulset_gets_volumes_that_outlive_its_pods(namespace: Namespace) -> None:
    echo.run(namespace, echo.with_volume(1))
    assert namespace.kubectl("logs", "echo-0").strip() == "listening"
    namespace.run("echo-0", "sh", "-c", "echo kept > /data/file")
    before = namespace.get("pod", "echo-0")["metadata"]["uid"]
    namespace.kubectl("delete", "pod", "echo-0")
    namespace.wait_for_rollout("statefulset/echo")
    assert namespace.get("pod", "echo-0")["metadata"]["uid"] != before
    assert namespace.run("echo-0", "cat", "/data/file").strip() == "kept"


def test_a_service_is_reached_by_name_and_a_pod_by_its_own(namespace: Namespace) -> None:
    echo.run(namespace, echo.pods(2))
    client = ClientPod(namespace)
    seen: set[str] = set()

    def both_seen() -> bool:
        seen.add(client.fetch("http://echo").strip())
        return seen == {"echo-0", "echo-1"}

    wait_until(both_seen, 30)
    assert client.fetch(f"http://echo-1.echo-pods.{namespace.name}.svc.cluster.local:8000").strip() == "echo-1"
    assert client.talk("ws://echo-0.echo-pods:8000/", "one", "two") == ["echo-0: one", "echo-0: two"]


async def test_websockets_pass_the_ingress_to_every_pod(cluster: Cluster, namespace: Namespace) -> None:
    host = f"{namespace.name}.test"
    echo.run(namespace, echo.pods(2), echo.ingress(host))
    answered: set[str] = set()

    async def say(message: str) -> str | None:
        try:
            async with cluster.connect(host) as socket:
                await socket.send(message)
                return str(await socket.recv())
        except websockets.InvalidStatus:
            return None  # the ingress has not seen the Ingress object yet

    async with asyncio.timeout(30):
        while answered != {"echo-0: hello", "echo-1: hello"}:
            if (answer := await say("hello")) is not None:
                answered.add(answer)


async def test_a_socket_through_the_ingress_lives_while_another_pod_is_deleted(
    cluster: Cluster, namespace: Namespace
) -> None:
    host = f"{namespace.name}.test"
    echo.run(namespace, echo.pods(1), echo.ingress(host))
    await until(lambda: cluster.status_of(host) == 200, 30)
    async with cluster.connect(host) as socket:
        namespace.kubectl("scale", "statefulset/echo", "--replicas=2")
        namespace.wait_for_rollout("statefulset/echo")
        namespace.kubectl("delete", "pod", "echo-1")
        await socket.send("still there?")
        assert await socket.recv() == "echo-0: still there?"


def test_a_network_policy_closes_and_opens_the_way_between_pods(namespace: Namespace) -> None:
    echo.run(namespace, echo.pods(1))
    client = ClientPod(namespace)
    assert client.can_fetch("http://echo")
    friends = {"from": [{"podSelector": {"matchLabels": {"friend": "yes"}}}], "ports": [{"port": "http"}]}
    namespace.apply(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "friends-only"},
            "spec": {"podSelector": {"matchLabels": echo.LABELS}, "policyTypes": ["Ingress"], "ingress": [friends]},
        }
    )
    wait_until(lambda: not client.can_fetch("http://echo"), 30)
    # Probes come from the node, and pass all the same.
    assert namespace.get("pod", "echo-0")["status"]["containerStatuses"][0]["ready"]
    namespace.kubectl("label", "pod", "client", "friend=yes")
    wait_until(lambda: client.can_fetch("http://echo"), 30)


def test_a_disruption_budget_refuses_an_eviction_until_it_allows_one(cluster: Cluster, namespace: Namespace) -> None:
    budget = {"minAvailable": 2, "selector": {"matchLabels": echo.LABELS}}
    policy = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "echo"}, "spec": budget}
    echo.run(namespace, echo.pods(2), policy)
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "echo-0"}})
    path = f"/api/v1/namespaces/{namespace.name}/pods/echo-0/eviction"

    def evict() -> None:
        cluster.kubectl("create", "--raw", path, "-f", "-", given=eviction)

    def allowed() -> bool:
        return bool(namespace.get("pdb", "echo")["status"].get("disruptionsAllowed"))

    wait_until(lambda: namespace.get("pdb", "echo").get("status", {}).get("currentHealthy") == 2, 30)
    with pytest.raises(KubectlFailed, match="disruption budget"):
        evict()
    namespace.kubectl("patch", "pdb", "echo", "-p", '{"spec": {"minAvailable": 1}}')
    wait_until(allowed, 30)
    evict()


def test_the_api_server_is_killed_and_back_and_no_pod_notices(own_cluster: OwnCluster, namespace: Namespace) -> None:
    echo.run(namespace, echo.pods(1))
    pod = namespace.get("pod", "echo-0")
    with own_cluster.without("control-plane", "kube-apiserver"):
        wait_until(lambda: own_cluster.try_kubectl("version").returncode != 0, 30)
        with own_cluster.dial(pod["status"]["podIP"], echo.PORT) as socket:
            socket.sendall(b"GET / HTTP/1.1\r\nHost: echo\r\n\r\n")
            assert socket.recv(15) == b"HTTP/1.1 200 OK"
    own_cluster.wait_until_it_answers()
    after = namespace.get("pod", "echo-0")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_requests_of_one_client_are_counted_from_the_audit_log(own_cluster: OwnCluster, namespace: Namespace) -> None:
    user = f"counted-{namespace.name}"
    own_cluster.try_kubectl("auth", "can-i", "list", "pods", "--as", user, "--as-group", "system:authenticated")
    found = [entry for entry in own_cluster.audited(user) if "objectRef" in entry]  # the others ask what there is
    assert [(entry["verb"], entry["objectRef"]["resource"]) for entry in found] == [
        ("create", "selfsubjectaccessreviews")
    ]


def test_what_a_failed_test_leaves_is_kept(cluster: Cluster, namespace: Namespace, tmp_path: Path) -> None:
    echo.run(namespace, echo.pods(1))
    artefacts.keep(namespace, tmp_path)
    artefacts.keep_cluster(cluster, tmp_path)
    assert "listening" in (tmp_path / "echo-0.log").read_text()
    assert "kind: StatefulSet" in (tmp_path / "objects.yaml").read_text()
    assert "echo-0" in (tmp_path / "events.txt").read_text()
