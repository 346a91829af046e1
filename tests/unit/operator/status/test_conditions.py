"""Conditions, a case per sentence."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from tests.support.operator_targets import target
from tests.support.simulated_cluster import SimulatedCluster, settled_cluster

from realtime_operator.decide.checklist import decide
from realtime_operator.plan import Apply, Outcome
from realtime_operator.snapshot import (
    PATIENCE_SECONDS,
    WAITING_FOR_VOLUME,
    Fleet,
    ObjectKey,
    Pod,
    Process,
    Snapshot,
    Unknown,
)
from realtime_operator.status import reasons
from realtime_operator.status.conditions import invalid_status, status_of, unsighted_status
from realtime_operator.target import Target

NOW, LATER = "2030-01-01T00:00:00.000000Z", "2030-01-02T00:00:00.000000Z"
READY = settled_cluster(target())


def serving(cluster: SimulatedCluster) -> Snapshot:
    """What is seen when the Deployment is done as well."""
    snapshot = cluster.snapshot()
    objects = dict(snapshot.objects)
    key = ObjectKey("Deployment", "chat")
    status = {
        "observedGeneration": 10**6,
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
    }
    objects[key] = {**objects[key], "status": status}
    return replace(snapshot, objects=objects)


def told(target: Target, snapshot: Snapshot, *outcomes: Outcome) -> dict[str, tuple[str, str, str]]:
    status = status_of(target, snapshot, decide(target, snapshot), outcomes, {}, NOW)
    return {entry["type"]: (entry["status"], entry["reason"], entry["message"]) for entry in status["conditions"]}


def test_a_resource_that_is_up_says_so_in_every_condition() -> None:
    found = told(READY.target, serving(READY))
    assert {name: words[:2] for name, words in found.items()} == {
        "Degraded": ("False", reasons.NOT_DEGRADED),
        "HostsSynced": ("True", reasons.SYNCED),
        "Paused": ("False", reasons.RUNNING),
        "Progressing": ("False", reasons.SETTLED),
        "Ready": ("True", reasons.ALL_SERVING),
        "RedisHealthy": ("True", reasons.HEALTHY),
    }


def test_a_shard_without_a_primary_is_why_it_is_not_ready() -> None:
    cluster = copy.deepcopy(READY)
    for server in cluster.servers.values():
        server.silent_until = cluster.now + 5
    assert told(cluster.target, serving(cluster))["Ready"][:2] == ("False", reasons.REDIS_UNAVAILABLE)


def test_a_process_that_is_behind_is_named() -> None:
    fleet = Fleet((Process("chat-a", 1, 4), Process("celery", 0, 0)))
    found = told(READY.target, replace(serving(READY), fleet=fleet))
    assert found["HostsSynced"][:2] == ("False", reasons.WAITING_FOR_PROCESSES)
    assert "celery" in found["HostsSynced"][2]
    assert "chat-a" not in found["HostsSynced"][2]


def test_what_is_not_known_is_not_called_false() -> None:
    found = told(READY.target, replace(serving(READY), fleet=Unknown("no shard answers")))
    assert found["HostsSynced"][0] == "Unknown"


TROUBLES = {
    "an image that cannot be had": (Pod("p", "u", False, trouble="ImagePullBackOff"), reasons.IMAGE_PULL),
    "a container that ends again and again": (Pod("p", "u", False, trouble="CrashLoopBackOff"), reasons.CRASH_LOOP),
    "an application that does not import": (
        Pod("p", "u", False, trouble="CrashLoopBackOff", message="ModuleNotFoundError: No module named 'chat'"),
        reasons.APPLICATION_IMPORT,
    ),
}
# Trouble only once it has held for a while: at any start volumes are bound and pods placed a little later.
LASTING_TROUBLES = {
    "a volume that is not bound": (
        Pod("p", "u", False, trouble="Unschedulable", message="pod has unbound immediate PersistentVolumeClaims"),
        reasons.VOLUME_PENDING,
    ),
    "a volume of a class that is not there": (
        Pod("p", "u", False, trouble="SchedulerError", message='storageclass.storage.k8s.io "fast" not found'),
        reasons.VOLUME_PENDING,
    ),
    "a volume that nobody provisions once a node is chosen": (
        Pod("p", "u", False, trouble=WAITING_FOR_VOLUME, message="PersistentVolumeClaim data-p is not bound."),
        reasons.VOLUME_PENDING,
    ),
    "a pod that no node takes": (
        Pod("p", "u", False, trouble="Unschedulable", message="0/2 nodes are available: 2 Insufficient memory."),
        reasons.UNSCHEDULABLE,
    ),
}


@pytest.mark.parametrize("sentence", TROUBLES)
def test_trouble_of_a_pod_is_said_in_its_own_word(sentence: str) -> None:
    pod, reason = TROUBLES[sentence]
    found = told(READY.target, replace(serving(READY), pods=(("gateway", pod),)))
    assert found["Degraded"][:2] == ("True", reason)


def after(seconds: float, snapshot: Snapshot) -> Snapshot:
    """The same again, when what was found suspicious has held for so long."""
    facts = decide(READY.target, snapshot).facts
    return replace(snapshot, held_seconds=dict.fromkeys(facts, seconds))


@pytest.mark.parametrize("sentence", LASTING_TROUBLES)
def test_what_may_pass_by_itself_is_trouble_when_it_lasts(sentence: str) -> None:
    pod, reason = LASTING_TROUBLES[sentence]
    snapshot = replace(serving(READY), pods=(("redis", pod),))
    assert told(READY.target, snapshot)["Degraded"][0] == "False"
    assert decide(READY.target, snapshot).look_again_seconds is not None, "nothing else would wake it"
    assert told(READY.target, after(PATIENCE_SECONDS - 1, snapshot))["Degraded"][0] == "False"
    assert told(READY.target, after(PATIENCE_SECONDS, snapshot))["Degraded"][:2] == ("True", reason)


SHORT = ObjectKey("StatefulSet", "chat-redis-0")


def short_of_pods() -> Snapshot:
    """A shard of three pods of which its controller has made one."""
    snapshot = serving(READY)
    seen = snapshot.objects[SHORT]
    return replace(snapshot, objects={**snapshot.objects, SHORT: {**seen, "status": {**seen["status"], "replicas": 1}}})


def test_a_shard_whose_pods_are_not_made_is_said_after_a_while_and_looked_at_again() -> None:
    snapshot = short_of_pods()
    assert told(READY.target, snapshot)["Degraded"][0] == "False", "its controller may just be making them"
    late = after(PATIENCE_SECONDS, snapshot)
    status, reason, message = told(READY.target, late)["Degraded"]
    assert (status, reason) == ("True", reasons.PODS_MISSING)
    assert "StatefulSet chat-redis-0 has 1 of 3 pods" in message
    assert decide(READY.target, late).look_again_seconds is not None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('pods "chat-redis-0-1" is forbidden: exceeded quota: few, requested: pods=1', reasons.QUOTA_EXCEEDED),
        ('pods "chat-redis-0-1" is forbidden: maximum memory usage per Container is 16Mi', reasons.FORBIDDEN),
        ("admission webhook said: no such thing", reasons.REJECTED),
    ],
)
def test_what_stops_the_pods_of_a_shard_is_said_as_its_controller_was_answered(answer: str, reason: str) -> None:
    snapshot = replace(after(PATIENCE_SECONDS, short_of_pods()), refused_pods={SHORT: answer})
    assert told(READY.target, snapshot)["Degraded"] == (
        "True",
        reason,
        f"StatefulSet chat-redis-0 cannot make its pods: {answer}",
    )


def test_an_operator_that_may_not_see_says_so_and_leaves_what_else_was_known() -> None:
    before = status_of(READY.target, serving(READY), decide(READY.target, serving(READY)), (), {}, NOW)
    status = unsighted_status("It may not list pods.", before, 7, LATER)
    found = {entry["type"]: entry for entry in status["conditions"]}
    assert status["phase"] == "Degraded"
    assert found["Degraded"]["reason"] == reasons.FORBIDDEN
    assert found["Degraded"]["lastTransitionTime"] == LATER
    kept = [entry for entry in before["conditions"] if entry["type"] != "Degraded"]
    assert [entry for entry in status["conditions"] if entry["type"] != "Degraded"] == kept


def test_pods_that_end_after_a_roll_are_named_while_they_close_their_connections() -> None:
    pod = Pod("chat-old", "u", True, deleting=True)
    found = told(READY.target, replace(serving(READY), pods=(("gateway", pod),)))
    assert found["Progressing"][:2] == ("True", reasons.DRAINING)
    assert "chat-old" in found["Progressing"][2]
    assert found["Ready"][0] == "True"


def test_a_pod_that_is_on_its_way_out_troubles_nobody() -> None:
    pod = Pod("p", "u", False, deleting=True, trouble="CrashLoopBackOff")
    assert told(READY.target, replace(serving(READY), pods=(("gateway", pod),)))["Degraded"][0] == "False"


def test_a_quota_that_stops_a_deployment_is_said() -> None:
    snapshot = serving(READY)
    key = ObjectKey("Deployment", "chat")
    failure = {"type": "ReplicaFailure", "status": "True", "message": "pods is forbidden: exceeded quota: few"}
    objects = {**snapshot.objects, key: {**snapshot.objects[key], "status": {"conditions": [failure]}}}
    assert told(READY.target, replace(snapshot, objects=objects))["Degraded"][1] == reasons.QUOTA_EXCEEDED


def test_what_a_person_must_change_comes_before_what_may_pass() -> None:
    action = Apply({"kind": "Service", "metadata": {"name": "chat"}})
    passing = Outcome(action, reasons.FORBIDDEN, "for now")
    permanent = Outcome(action, reasons.STORAGE_IMMUTABLE, "for ever", permanent=True)
    assert told(READY.target, serving(READY), passing, permanent)["Degraded"][1] == reasons.STORAGE_IMMUTABLE


def test_a_switchover_that_was_given_up_is_said_and_a_server_that_is_away_is_left_to_its_own_condition() -> None:
    action = Apply({"kind": "Service", "metadata": {"name": "chat"}})
    away, given_up = (Outcome(action, why, "no") for why in (reasons.REDIS_UNAVAILABLE, reasons.SWITCHOVER_FAILED))
    assert told(READY.target, serving(READY), away)["Degraded"][0] == "False"
    assert told(READY.target, serving(READY), away, given_up)["Degraded"] == ("True", reasons.SWITCHOVER_FAILED, "no")


def test_a_time_changes_only_with_the_status_of_its_condition() -> None:
    snapshot = serving(READY)
    plan = decide(READY.target, snapshot)
    first = status_of(READY.target, snapshot, plan, (), {}, NOW)
    assert status_of(READY.target, snapshot, plan, (), first, LATER) == first
    behind = replace(snapshot, fleet=Fleet((Process("celery", 0),)))
    second = status_of(READY.target, behind, decide(READY.target, behind), (), first, LATER)
    times = {entry["type"]: entry["lastTransitionTime"] for entry in second["conditions"]}
    assert times["HostsSynced"] == LATER
    assert times["Ready"] == NOW


def test_an_invalid_spec_says_so_and_keeps_the_other_conditions() -> None:
    before: dict[str, Any] = {"conditions": [{"type": "RedisHealthy", "status": "True", "lastTransitionTime": NOW}]}
    status = invalid_status(4, "spec.redis: set exactly one", before, LATER)
    by_type = {entry["type"]: entry for entry in status["conditions"]}
    assert by_type["Ready"]["reason"] == reasons.INVALID_SPEC
    assert by_type["RedisHealthy"]["lastTransitionTime"] == NOW
    assert status["phase"] == "Invalid"
    assert status["observedGeneration"] == 4


def test_the_url_and_the_connections_are_there_for_people() -> None:
    exposed = target({"ingress": {"host": "chat.example.com", "tlsSecretName": "tls"}})
    snapshot = replace(serving(READY), fleet=Fleet((Process("a", 1, 4), Process("b", 1, 5))))
    status = status_of(exposed, snapshot, decide(exposed, snapshot), (), {}, NOW)
    assert status["url"] == "wss://chat.example.com"
    assert status["connections"] == 9
    assert status["hosts"] == {"epoch": 1, "shards": ["chat-redis-0"], "podsAtEpoch": 2}
    (shard,) = status["shards"]
    assert shard["healthy"]
    assert shard["replicas"] == 2
