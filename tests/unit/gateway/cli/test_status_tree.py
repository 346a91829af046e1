from dataclasses import replace
from typing import Any

import pytest

from realtime_gateway.cli import status_tree
from realtime_gateway.cli.status_tree import Process, facts_of, is_ready, lines
from realtime_operator.objects import identity
from realtime_operator.status import reasons


def condition(kind: str, status: str, reason: str, message: str = "It is so.") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def resource(**status: Any) -> dict[str, Any]:
    metadata = {"name": "chat", "namespace": "shop", "generation": 2}
    return {"metadata": metadata, "status": {"observedGeneration": 2, **status} if status else {}}


def pod(name: str, owner: str, component: str, *, hashed: str = "", **status: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component, **({"pod-template-hash": hashed} if hashed else {})}
    owner = f"{owner}-{hashed}" if hashed else owner
    metadata = {"name": name, "labels": labels, "ownerReferences": [{"name": owner}]}
    status = status or {"conditions": [{"type": "Ready", "status": "True"}]}
    return {"kind": "Pod", "metadata": metadata, "status": status}


def workload(kind: str, name: str, component: str, ready: int, wanted: int, **labels: str) -> dict[str, Any]:
    labels = {"app.kubernetes.io/component": component, **labels}
    status = {"readyReplicas": ready} if ready else {}
    return {"kind": kind, "metadata": {"name": name, "labels": labels}, "spec": {"replicas": wanted}, "status": status}


def tree(*arguments: Any, processes: dict[str, Process | str] | None = None) -> str:
    facts = facts_of(*arguments)
    return "\n".join(lines(replace(facts, processes=processes or {})))


SERVING = resource(
    phase="Ready",
    url="https://chat.example.com",
    connections=419,
    hosts={"epoch": 7, "shards": ["chat-redis-0"], "podsAtEpoch": 2},
    conditions=[
        condition("Degraded", "False", "AsWanted", "Nothing stands in the way."),
        condition("Ready", "True", "AllServing", "Every pod that is wanted serves."),
    ],
    shards=[{"name": "chat-redis-0", "primary": "10.96.0.5:6379", "replicas": 1, "sentinels": 3, "healthy": True}],
)
OBJECTS = [
    workload("Deployment", "chat", "gateway", 2, 2),
    workload("Deployment", "chat-worker-mail", "worker", 0, 1, **{"realtime-gateway.io/worker": "mail"}),
    workload("Deployment", "chat-worker-mail-slow", "worker", 1, 1, **{"realtime-gateway.io/worker": "mail-slow"}),
    workload("Deployment", "chat-cache", "cache", 1, 1),
    workload("StatefulSet", "chat-redis-0", "redis", 2, 2),
    workload("StatefulSet", "chat-sentinel", "sentinel", 3, 3),
    {"kind": "Service", "metadata": {"name": "chat-redis-0-1"}, "spec": {"clusterIP": "10.96.0.5"}},
    pod("chat-77-b", "chat", "gateway", hashed="77"),
    pod("chat-77-a", "chat", "gateway", hashed="77"),
    pod("chat-redis-0-0", "chat-redis-0", "redis"),
    pod("chat-redis-0-1", "chat-redis-0", "redis"),
    pod(
        "chat-worker-mail-9-x",
        "chat-worker-mail",
        "worker",
        hashed="9",
        containerStatuses=[{"state": {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off\npulling "x"'}}}],
    ),
    pod("chat-worker-mail-slow-9-y", "chat-worker-mail-slow", "worker", hashed="9"),
]


def test_the_tree_of_a_resource_has_its_conditions_shards_pods_and_workers():
    processes: dict[str, Process | str] = {"chat-77-a": Process("serving", 7, 412), "chat-77-b": "forbidden"}
    assert tree(SERVING, OBJECTS, processes=processes) == (
        "chat in namespace shop: Ready\n"
        "https://chat.example.com, 419 connections, epoch 7 of the host list\n"
        "\n"
        "Conditions\n"
        "    Ready     True   AllServing  Every pod that is wanted serves.\n"
        "    Degraded  False  AsWanted    Nothing stands in the way.\n"
        "\n"
        "Shards\n"
        "  chat-redis-0: healthy, primary chat-redis-0-1, 1 replica attached, 3 Sentinels watching\n"
        "  ├─ chat-redis-0-0: ready, replica\n"
        "  └─ chat-redis-0-1: ready, primary\n"
        "  chat-sentinel: 3 of 3 ready\n"
        "\n"
        "Gateway pods\n"
        "  chat: 2 of 2 ready\n"
        "  ├─ chat-77-a: ready, epoch 7, 412 connections\n"
        "  └─ chat-77-b: ready, not asked: forbidden\n"
        "\n"
        "Workers\n"
        "  mail: 0 of 1 ready\n"
        '  └─ chat-worker-mail-9-x: not ready: ImagePullBackOff (Back-off pulling "x")\n'
        "  mail-slow: 1 of 1 ready\n"
        "\n"
        "Cache\n"
        "  chat-cache: 1 of 1 ready"
    )


def test_a_resource_that_no_operator_has_seen_says_so():
    assert tree(resource(), []) == (
        "chat in namespace shop: not looked at yet\n"
        "No operator has looked at this resource yet: does one run, and does it serve this namespace?"
    )


def test_what_is_about_an_earlier_spec_says_so():
    said = tree(resource(phase="Ready", observedGeneration=1), [])
    assert "The operator has seen generation 1 of the spec, and the present one is 2: this is older." in said


@pytest.mark.parametrize(
    ("kind", "status", "bad"),
    [
        ("Ready", "False", True),
        ("Ready", "True", False),
        ("RedisHealthy", "Unknown", False),
        ("Degraded", "True", True),
        ("Degraded", "False", False),
        ("Paused", "True", True),
        ("Progressing", "True", False),
        ("Progressing", "False", False),
    ],
)
def test_bad_news_is_marked(kind: str, status: str, bad: bool):
    said = tree(resource(phase="Ready", conditions=[condition(kind, status, "Why")]), [])
    assert (f"! {kind}" in said) is bad


def test_conditions_that_matter_most_come_first_and_unknown_ones_last():
    kinds = ["Zeal", "Degraded", "Ready", "HostsSynced"]
    said = tree(resource(phase="x", conditions=[condition(kind, "True", "Why") for kind in kinds]), [])
    places = [said.index(kind) for kind in ("Ready", "HostsSynced", "Degraded", "Zeal")]
    assert places == sorted(places)


def test_a_shard_without_a_primary_calls_nobody_a_replica():
    said = tree(resource(phase="x", shards=[{"name": "chat-redis-0"}]), OBJECTS)
    assert "chat-redis-0: not healthy, no primary, 0 replicas attached, 0 Sentinels watching" in said
    assert "chat-redis-0-0: ready\n" in said


def test_a_primary_whose_service_is_gone_is_named_by_its_address():
    said = tree(resource(phase="x", shards=[{"name": "chat-redis-0", "primary": "10.0.0.1:6379"}]), [])
    assert "primary 10.0.0.1:6379" in said


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes " * 40}


def test_a_pod_that_no_node_takes_says_why_in_one_bounded_line():
    objects = [workload("Deployment", "chat", "gateway", 0, 1), pod("chat-7-a", "chat", "gateway", hashed="7")]
    objects[1]["status"] = {"conditions": [UNSCHEDULED]}
    (line,) = (line for line in tree(SERVING, objects).splitlines() if "chat-7-a" in line)
    assert "not ready: Unschedulable (0/1 nodes 0/1 nodes" in line
    assert line.endswith("…")
    assert len(line) < 200


def test_a_pod_that_ends_and_a_process_that_drains_are_called_so():
    objects = [workload("Deployment", "chat", "gateway", 1, 1)]
    objects += [pod(name, "chat", "gateway", hashed="7") for name in ("chat-7-a", "chat-7-b")]
    objects[1]["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    said = tree(SERVING, objects, processes={"chat-7-b": Process("draining", 7, 1)})
    assert "chat-7-a: ending" in said
    assert "chat-7-b: ready, draining, epoch 7, 1 connection" in said


def test_a_process_whose_layer_nobody_has_used_has_no_epoch():
    objects = [workload("Deployment", "chat", "gateway", 1, 1), pod("chat-7-a", "chat", "gateway", hashed="7")]
    said = tree(SERVING, objects, processes={"chat-7-a": Process("serving", 0, 0)})
    assert "chat-7-a: ready, layer not used yet, 0 connections" in said


READY = [condition("Ready", "True", "AllServing")]


@pytest.mark.parametrize(
    ("status", "ready"),
    [
        ({"conditions": READY}, True),
        ({"conditions": READY, "observedGeneration": 1}, False),
        ({"conditions": [condition("Ready", "False", "RedisUnavailable")]}, False),
        ({"phase": "Ready"}, False),
        ({}, False),
    ],
)
def test_ready_is_what_the_operator_says_of_the_present_spec(status: dict[str, Any], ready: bool):
    assert is_ready(resource(**status)) is ready


def test_its_words_are_the_operators():
    components = (identity.GATEWAY, identity.WORKER, identity.REDIS, identity.SENTINEL, identity.CACHE)
    ours = (
        status_tree.GATEWAY,
        status_tree.WORKER,
        status_tree.REDIS,
        status_tree.SENTINEL,
        status_tree.CACHE,
    )
    assert ours == components
    assert (status_tree.COMPONENT_LABEL, status_tree.WORKER_LABEL) == (identity.COMPONENT_LABEL, identity.WORKER_LABEL)
    words = {reasons.READY, reasons.REDIS_HEALTHY, reasons.HOSTS_SYNCED, reasons.PROGRESSING, reasons.DEGRADED}
    assert {*status_tree.FIRST_CONDITIONS} == words | {reasons.PAUSED}
