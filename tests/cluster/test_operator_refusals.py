"""What `kubectl apply` answers to a resource that cannot be meant: each mistake by its field, before it is stored.

The table of tests/support/resource_cases.py is held against the parser too, so that both agree on what is a mistake.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.cluster.cluster import Cluster, Namespace
from tests.cluster.operator_bed import MANIFESTS, Gateway
from tests.support.resource_cases import ACCEPTED, REFUSED

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


def tried(namespace: Namespace, spec: dict[str, Any], name: str = "chat") -> subprocess.CompletedProcess[str]:
    """What becomes of a resource, without storing it; a warning counts as an error."""
    options = ("--dry-run=server", "--warnings-as-errors", "--validate=strict")
    return namespace.try_kubectl("apply", *options, "-f", "-", given=json.dumps(resource(spec, name)))


def resource(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "apiVersion": "realtime-gateway.io/v1alpha1",
        "kind": "RealtimeGateway",
        "metadata": {"name": name},
        "spec": {"application": "chat.asgi:application", **spec},
    }


def refusal(namespace: Namespace, spec: dict[str, Any], name: str = "chat") -> str:
    """What kubectl says of a resource that must be refused."""
    result = namespace.try_kubectl("apply", "-f", "-", given=json.dumps(resource(spec, name)))
    assert result.returncode != 0, result.stdout
    assert namespace.try_kubectl("get", f"realtimegateway/{name}").returncode != 0
    return result.stderr


def test_the_definition_is_accepted_without_a_warning(cluster: Cluster) -> None:
    options = ("--dry-run=server", "--warnings-as-errors", "--server-side", "--force-conflicts")
    cluster.kubectl("apply", *options, "-f", str(MANIFESTS / "crd.yaml"))


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_the_parser_refuses_the_api_server_refuses_at_the_same_field(namespace: Namespace, sentence: str) -> None:
    case = REFUSED[sentence]
    result = tried(namespace, case.spec)
    if case.built:
        assert result.returncode != 0, result.stdout
        assert case.field in result.stderr
    else:
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("sentence", ACCEPTED)
def test_what_the_parser_accepts_the_api_server_accepts(namespace: Namespace, sentence: str) -> None:
    result = tried(namespace, ACCEPTED[sentence])
    assert result.returncode == 0, result.stderr


def test_what_is_not_built_yet_is_stored_and_named_by_the_operator(namespace: Namespace) -> None:
    gateway = Gateway(namespace, {"autoscaling": {"maxReplicas": 5}})
    gateway.apply()
    assert "spec.autoscaling" in gateway.wait_for("Ready", "False", "InvalidSpec")
    assert not gateway.owned()


def test_a_resource_that_is_invalid_in_ten_ways_gets_ten_answers_at_once(namespace: Namespace) -> None:
    answers = refusal(namespace, TEN_MISTAKES).splitlines()
    for field, said in TEN_ANSWERS.items():
        assert any(field in line and said in line for line in answers), f"{field}: {said}\n{answers}"


@pytest.mark.parametrize("sentence", RULES)
def test_values_that_do_not_go_together_are_refused_with_a_sentence(namespace: Namespace, sentence: str) -> None:
    name, spec = RULES[sentence]
    assert sentence in refusal(namespace, spec, name)
