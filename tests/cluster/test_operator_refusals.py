"""What `kubectl apply` answers to a resource that cannot be meant: each mistake by its field, before it is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cluster.cluster import Namespace

pytestmark = pytest.mark.usefixtures("operator")

TEN_MISTAKES: dict[str, Any] = {
    "application": "chat.asgi",
    "replicas": -1,
    "drain": {"acceptSeconds": 301, "jitter": 2},
    "channelLayer": {"serializer": "pickle", "capacity": 0},
    "websocket": {"maxMessageSize": "much", "pingIntervalSeconds": "soon"},
    "ingress": {"host": "Not A Host"},
    "workers": [{"name": "Receipts", "channels": ["receipts"]}],
}
# field → what the answer says about it
TEN_ANSWERS = {
    "spec.application": "should match",
    "spec.replicas": "should be greater than or equal to 0",
    "spec.drain.acceptSeconds": "should be less than or equal to 300",
    "spec.drain.jitter": "should be less than or equal to 1",
    "spec.channelLayer.serializer": 'supported values: "msgpack", "json"',
    "spec.channelLayer.capacity": "should be greater than or equal to 1",
    "spec.websocket.maxMessageSize": "should match",
    "spec.websocket.pingIntervalSeconds": "must be of type integer",
    "spec.ingress.host": "should match",
    "spec.workers[0].name": "should match",
}
# spec and name → the sentence of a rule that looks at more than one value
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "set exactly one of managed and external": ("chat", {"redis": {}}),
    "sentinels must be an odd number": ("chat", {"redis": {"managed": {"sentinels": 4}}}),
    "set at most one of ingress and httpRoute": (
        "chat",
        {"ingress": {"host": "a.test"}, "httpRoute": {"parentRefs": [{"name": "edge"}]}},
    ),
    "minReplicas must not be above maxReplicas": ("chat", {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}}),
    "set jwt together with stack: jwt, and only then": ("chat", {"auth": {"stack": "jwt"}}),
    "of at most 40 characters": ("longer".ljust(41, "x"), {}),
    'unknown field "spec.replica"': ("chat", {"replica": 2}),
}


def refusal(namespace: Namespace, spec: dict[str, Any], name: str = "chat") -> str:
    """What kubectl says of a resource that must be refused."""
    resource = {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": name},
        "spec": {"application": "chat.asgi:application", **spec},
    }
    result = namespace.try_kubectl("apply", "-f", "-", given=json.dumps(resource))
    assert result.returncode != 0, result.stdout
    assert namespace.try_kubectl("get", f"realtimegateway/{name}").returncode != 0
    return result.stderr


def test_a_resource_that_is_invalid_in_ten_ways_gets_ten_answers_at_once(namespace: Namespace) -> None:
    answers = refusal(namespace, TEN_MISTAKES).splitlines()
    for field, said in TEN_ANSWERS.items():
        assert any(field in line and said in line for line in answers), f"{field}: {said}\n{answers}"


@pytest.mark.parametrize("sentence", RULES)
def test_values_that_do_not_go_together_are_refused_with_a_sentence(namespace: Namespace, sentence: str) -> None:
    name, spec = RULES[sentence]
    assert sentence in refusal(namespace, spec, name)
