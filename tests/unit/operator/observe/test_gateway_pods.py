"""Pods in few words: why one does not run, a case per sentence."""

from __future__ import annotations

from typing import Any

import pytest

from realtime_operator.observe.gateway_pods import pod_of
from realtime_operator.snapshot import WAITING_FOR_VOLUME


def seen(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "chat-1", "uid": "u"}, "spec": spec, "status": status}


def container(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "gateway", "ready": False, "state": state, **more}]}


def sandbox(status: str) -> dict[str, str]:
    return {"type": "PodReadyToStartContainers", "status": status}


CRASHED = {"terminated": {"exitCode": 1, "message": "ImportError: chat"}}
CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "data-chat-0"}}
UNBOUND = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "unbound"}
# sentence → (status, spec, trouble, a part of the message)
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "an image on its way is no trouble": (container({"waiting": {"reason": "ContainerCreating"}}), {}, "", ""),
    "an image that cannot be had": (
        container({"waiting": {"reason": "ErrImagePull", "message": "not found"}}),
        {},
        "ErrImagePull",
        "not found",
    ),
    "a crash is told with its last words": (
        container({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, lastState=CRASHED),
        {},
        "CrashLoopBackOff",
        "ImportError",
    ),
    "the moment in which it runs again does not end the trouble": (
        container({"running": {}}, lastState=CRASHED, restartCount=2),
        {},
        "CrashLoopBackOff",
        "ImportError",
    ),
    "one crash at the start is none": (container({"running": {}}, lastState=CRASHED, restartCount=1), {}, "", ""),
    "a restart that was asked for is none": (
        container({"running": {}}, lastState={"terminated": {"exitCode": 0}}, restartCount=5),
        {},
        "",
        "",
    ),
    "a pod that no node takes": ({"phase": "Pending", "conditions": [UNBOUND]}, {}, "Unschedulable", "unbound"),
    "a pod whose volume nobody provisions": (
        {"phase": "Pending"},
        {"volumes": [CLAIM]},
        WAITING_FOR_VOLUME,
        "data-chat-0",
    ),
    "a pod without volumes that was just made": ({"phase": "Pending"}, {"volumes": [{"name": "tmp"}]}, "", ""),
}


@pytest.mark.parametrize("sentence", CASES)
def test_trouble_is_seen(sentence: str) -> None:
    status, spec, trouble, words = CASES[sentence]
    pod = pod_of(seen(status, **spec))
    assert pod.trouble == trouble
    assert words in pod.message
    assert not pod.ready


@pytest.mark.parametrize(
    ("status", "creating"),
    [
        (container({"waiting": {"reason": "ContainerCreating"}}), True),
        ({**container({"waiting": {"reason": "ContainerCreating"}}), "conditions": [sandbox("False")]}, True),
        # Its volumes are mounted, and its image is on its way.
        ({**container({"waiting": {"reason": "ContainerCreating"}}), "conditions": [sandbox("True")]}, False),
        (container({"waiting": {"reason": "ErrImagePull"}}), False),
        (container({"running": {}}), False),
        ({"phase": "Pending", "conditions": [UNBOUND]}, False),
    ],
)
def test_a_pod_is_being_created_until_its_kubelet_says_anything_else(status: dict[str, Any], creating: bool) -> None:
    assert pod_of(seen(status)).creating is creating
