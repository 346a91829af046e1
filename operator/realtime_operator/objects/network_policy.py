"""NetworkPolicies: who may open connections to which pods of a resource. What is not said here is refused."""

from __future__ import annotations

from typing import Any

from realtime_operator.objects import identity
from realtime_operator.objects.gateway_pods import ADMIN_PORT, HTTP_PORT
from realtime_operator.sentinel_terms import REDIS_PORT, SENTINEL_PORT
from realtime_operator.target import Target

CLIENTS = (identity.GATEWAY, identity.WORKER, identity.REDIS, identity.SENTINEL)


def redis(target: Target) -> dict[str, Any]:
    """Redis and Sentinel pods: reached by this resource's pods and the operator, reaching each other only."""
    ports = [_port(REDIS_PORT), _port(SENTINEL_PORT)]
    peers = [_pods(target, *CLIENTS), _operator(target)]
    own = [_pods(target, identity.REDIS, identity.SENTINEL)]
    return _policy(
        target,
        f"{target.name}-redis",
        (identity.REDIS, identity.SENTINEL),
        {
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": peers, "ports": ports}],
            "egress": [{"to": own, "ports": ports}],
        },
    )


def cache(target: Target) -> dict[str, Any]:
    """The cache: reached by gateway and workers, reaching nobody."""
    peers = [_pods(target, identity.GATEWAY, identity.WORKER)]
    rules = {"policyTypes": ["Ingress", "Egress"], "ingress": [{"from": peers, "ports": [_port(REDIS_PORT)]}]}
    return _policy(target, f"{target.name}-cache", (identity.CACHE,), rules)


def gateway(target: Target) -> dict[str, Any]:
    """Gateway pods: clients to the socket port, any pod (Prometheus, the operator) to the admin port."""
    wanted = target.spec.network_policy
    clients: dict[str, Any] = {"ports": [_port(HTTP_PORT)]}
    if wanted.ingress_from:
        clients["from"] = list(wanted.ingress_from)
    rules = {"ingress": [clients, _admin()], **_egress(target)}
    rules["policyTypes"] = ["Ingress", "Egress"] if wanted.egress_to else ["Ingress"]
    return _policy(target, target.name, (identity.GATEWAY,), rules)


def workers(target: Target) -> dict[str, Any]:
    """Worker pods: any pod (Prometheus, whoever asks for traces) to the admin port."""
    rules = {"ingress": [_admin()], **_egress(target)}
    rules["policyTypes"] = ["Ingress", "Egress"] if target.spec.network_policy.egress_to else ["Ingress"]
    return _policy(target, f"{target.name}-worker", (identity.WORKER,), rules)


def _admin() -> dict[str, Any]:
    return {"from": [{"namespaceSelector": {}}], "ports": [_port(ADMIN_PORT)]}


def _egress(target: Target) -> dict[str, Any]:
    """Where processes may go, once somebody says where: Redis, the cache, DNS and what the resource lists."""
    listed = target.spec.network_policy.egress_to
    if not listed:
        return {}
    shards = [_pods(target, identity.REDIS, identity.SENTINEL, identity.CACHE)]
    dns = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    return {
        "egress": [
            {"to": shards, "ports": [_port(REDIS_PORT), _port(SENTINEL_PORT)]},
            {"ports": dns},
            {"to": list(listed)},
        ]
    }


def _policy(target: Target, name: str, components: tuple[str, ...], rules: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": identity.metadata(target, name, components[0]),
        "spec": {"podSelector": _pods(target, *components)["podSelector"], **rules},
    }


def _pods(target: Target, *components: str) -> dict[str, Any]:
    return {
        "podSelector": {
            "matchLabels": {identity.INSTANCE_LABEL: target.name},
            "matchExpressions": [
                {"key": identity.COMPONENT_LABEL, "operator": "In", "values": list(components)},
            ],
        }
    }


def _operator(target: Target) -> dict[str, Any]:
    return {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": target.operator_namespace}},
        "podSelector": {"matchLabels": identity.OPERATOR_LABELS},
    }


def _port(port: int) -> dict[str, Any]:
    return {"port": port, "protocol": "TCP"}
