"""How clients reach the gateway: a Service, and an Ingress or an HTTPRoute in front of it."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.cluster import HttpRoute, Ingress
from realtime_operator.objects import identity
from realtime_operator.objects.gateway_pods import HTTP_PORT
from realtime_operator.target import Target

SERVICE_PORT = 80
# What each controller needs to leave a WebSocket open for as long as the pings keep it alive.
PRESETS: dict[str, dict[str, str]] = {
    "nginx": {
        "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
        "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
    },
    "traefik": {},
    "haproxy": {"haproxy.org/timeout-tunnel": "1h"},
    "skipper": {"zalando.org/skipper-loadbalancer": "roundRobin"},
}


def service(target: Target) -> dict[str, Any]:
    """The Service in front of the gateway pods."""
    metadata = identity.metadata(target, target.name, identity.GATEWAY)
    wanted = target.spec.service
    if wanted.annotations:
        metadata["annotations"] = dict(wanted.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "type": wanted.type,
            "selector": identity.selector(target, identity.GATEWAY),
            "ports": [{"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": HTTP_PORT}],
        },
    }


def ingress(target: Target, wanted: Ingress) -> dict[str, Any]:
    """The Ingress."""
    metadata = identity.metadata(target, target.name, identity.GATEWAY)
    annotations = {**PRESETS.get(wanted.preset or "", {}), **(wanted.annotations or {})}
    if annotations:
        metadata["annotations"] = annotations
    backend = {"service": {"name": target.name, "port": {"number": SERVICE_PORT}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    spec: dict[str, Any] = {"rules": [{"host": wanted.host, "http": {"paths": paths}}]}
    if wanted.class_name is not None:
        spec["ingressClassName"] = wanted.class_name
    if wanted.tls_secret_name is not None:
        spec["tls"] = [{"hosts": [wanted.host], "secretName": wanted.tls_secret_name}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}


def http_route(target: Target, wanted: HttpRoute) -> dict[str, Any]:
    """The HTTPRoute of the Gateway API."""
    parents = [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "name": parent.name,
            **({"namespace": parent.namespace} if parent.namespace else {}),
            **({"sectionName": parent.section_name} if parent.section_name else {}),
            **({"port": parent.port} if parent.port else {}),
        }
        for parent in wanted.parent_refs
    ]
    backend = {"group": "", "kind": "Service", "name": target.name, "port": SERVICE_PORT, "weight": 1}
    match = {"path": {"type": "PathPrefix", "value": "/"}}
    spec: dict[str, Any] = {"parentRefs": parents, "rules": [{"matches": [match], "backendRefs": [backend]}]}
    if wanted.hostnames:
        spec["hostnames"] = list(wanted.hostnames)
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": identity.metadata(target, target.name, identity.GATEWAY),
        "spec": spec,
    }


def url(target: Target) -> str:
    """Where clients connect; empty when nothing outside the cluster leads here."""
    if target.spec.ingress is not None:
        scheme = "wss" if target.spec.ingress.tls_secret_name else "ws"
        return f"{scheme}://{target.spec.ingress.host}"
    if target.spec.http_route is not None and target.spec.http_route.hostnames:
        return f"wss://{target.spec.http_route.hostnames[0]}"
    return ""
