"""What an operator meets on bad days: no definition yet, a quota, an API server that was away, and hands that edit."""

from __future__ import annotations

import base64
import json
import statistics
import time
from collections import Counter
from datetime import datetime

import pytest

from tests.cluster.cluster import Cluster, Namespace, Object, OwnCluster
from tests.cluster.operator_bed import (
    ACCOUNT,
    CRD,
    MANIFESTS,
    MOST_TRIES,
    NAMESPACE,
    WRITES,
    Gateway,
    calls,
    say,
    warnings,
)
from tests.cluster.waiting import wait_until

pytestmark = pytest.mark.usefixtures("operator")

OPERATOR = "realtime-gateway-operator"
ROUNDS = 4
WATCHED_SECONDS = 30.0


def test_a_quota_is_named_and_nothing_loops_hot(namespace: Namespace, own_cluster: OwnCluster) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    namespace.apply({**quota, "spec": {"hard": {"services": "2"}}})
    wait_until(lambda: namespace.get("resourcequota/small").get("status", {}).get("hard"), 30)
    gateway = Gateway(namespace)
    gateway.apply()
    assert "exceeded quota: small" in gateway.wait_for("Degraded", "True", "QuotaExceeded")
    assert warnings(namespace, "QuotaExceeded")
    time.sleep(WATCHED_SECONDS)  # what is counted is what happens in this time
    made = calls(own_cluster, namespace.name)
    refused = Counter(one["objectRef"].get("name") for one in made if one["responseStatus"]["code"] == 403)
    say(f"{len(made)} calls to begin and {WATCHED_SECONDS:.0f} s of quota; refused: {dict(refused)}")
    assert refused
    assert max(refused.values()) <= MOST_TRIES
    namespace.kubectl("delete", "resourcequota/small")
    gateway.wait_for("Degraded", "False", seconds=180)
    gateway.wait_until_ready()


def when(entry: Object, field: str) -> datetime:
    return datetime.fromisoformat(entry[field])


def repair_seconds(cluster: OwnCluster, user: str, namespace: str, since: int) -> list[float]:
    """From each edit's arrival at the API server to the end of the operator's write that sets it right."""
    theirs = [one for one in cluster.audited(user) if is_write_in(one, namespace)][since:]
    ours = [one for one in cluster.audited(ACCOUNT) if is_write_in(one, namespace)]
    found = []
    for edit in theirs:
        target = (edit["objectRef"]["resource"], edit["objectRef"]["name"])
        begun = when(edit, "requestReceivedTimestamp")
        repairs = [
            when(one, "stageTimestamp")
            for one in ours
            if (one["objectRef"]["resource"], one["objectRef"].get("name")) == target
            and when(one, "requestReceivedTimestamp") > begun
        ]
        found.append((min(repairs) - begun).total_seconds())
    return found


def test_what_is_edited_or_deleted_is_repaired_at_once(namespace: Namespace, own_cluster: OwnCluster) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    user = own_cluster.kubectl("auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
    label = "{.metadata.labels.app\\.kubernetes\\.io/name}"
    before = namespace.kubectl("get", "service/chat", "-o", f"jsonpath={label}")
    made = namespace.get("configmap/chat-resource")["metadata"]["uid"]
    edits = len([one for one in own_cluster.audited(user) if is_write_in(one, namespace.name)])
    for _ in range(ROUNDS):
        for name in ("service/chat", "networkpolicy/chat-redis", "poddisruptionbudget/chat"):
            namespace.kubectl("label", name, "app.kubernetes.io/name=theirs", "--overwrite")
            path = ("get", name, "-o", f"jsonpath={label}")
            wait_until(lambda path=path: namespace.kubectl(*path) == before, 20)  # type: ignore[misc] # the loop's own
        namespace.kubectl("delete", "configmap/chat-resource", "--wait=false")
        wait_until(lambda made=made: uid_of(namespace, "configmap/chat-resource") not in ("", made), 20)  # type: ignore[misc] # the loop's own
        made = uid_of(namespace, "configmap/chat-resource")
    took = repair_seconds(own_cluster, user, namespace.name, edits)
    assert len(took) == 4 * ROUNDS
    say(f"repaired: median {statistics.median(took) * 1000:.0f} ms, longest {max(took) * 1000:.0f} ms")
    gateway.wait_until_ready()


def is_write_in(entry: Object, namespace: str) -> bool:
    return entry["verb"] in WRITES and entry.get("objectRef", {}).get("namespace") == namespace


def uid_of(namespace: Namespace, name: str) -> str:
    return namespace.try_kubectl("get", name, "-o", "jsonpath={.metadata.uid}").stdout


def delete_from_etcd(cluster: OwnCluster, key: str) -> int:
    """Remove an object from below an API server that is away; return how many there were."""
    body = json.dumps({"key": base64.b64encode(key.encode()).decode()}).encode()
    connection = cluster.dial("127.0.0.1", 2379)
    with connection:
        head = f"POST /v3/kv/deleterange HTTP/1.0\r\nHost: etcd\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        answer = connection.makefile("rb").read().partition(b"\r\n\r\n")[2]
    return int(json.loads(answer).get("deleted", 0))


def test_what_goes_while_the_api_server_is_away_is_noticed(namespace: Namespace, own_cluster: OwnCluster) -> None:
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
    before = uid_of(namespace, "configmap/chat-resource")
    with own_cluster.without("control-plane", "kube-apiserver"):
        assert delete_from_etcd(own_cluster, f"/registry/configmaps/{namespace.name}/chat-resource") == 1
    own_cluster.wait_until_it_answers()
    begun = time.monotonic()
    wait_until(lambda: uid_of(namespace, "configmap/chat-resource") not in ("", before), 90)
    say(f"made again {time.monotonic() - begun:.1f} s after the API server was back")
    gateway.wait_until_ready()


def test_the_definition_may_come_after_the_operator(
    namespace: Namespace, own_cluster: OwnCluster, cluster: Cluster
) -> None:
    cluster.kubectl("-n", NAMESPACE, "scale", f"deployment/{OPERATOR}", "--replicas=0")
    wait_until(lambda: not cluster.get("pods", "-n", NAMESPACE), 60)
    cluster.kubectl("delete", "crd", CRD)
    cluster.kubectl("-n", NAMESPACE, "scale", f"deployment/{OPERATOR}", "--replicas=2")
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{OPERATOR}", "--timeout=60s")

    def waits() -> bool:
        logs = cluster.kubectl("-n", NAMESPACE, "logs", f"deployment/{OPERATOR}")
        return "Waiting for the CustomResourceDefinition" in logs

    wait_until(waits, 30)
    cluster.kubectl("apply", "--server-side", "-f", str(MANIFESTS / "crd.yaml"))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{CRD}", "--timeout=30s")
    gateway = Gateway(namespace)
    gateway.apply()
    gateway.wait_until_ready()
