"""The sections of the resource that only a cluster reads: pods, exposure, policies. The defaults of these live here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from realtime_gateway.resource.fields import GIB, MIB, Items, KubernetesObject, Number, Quantity, Size, Text, setting
from realtime_gateway.resource.forms import ANNOTATION, HOST_NAME, LABEL_VALUE, OBJECT_NAME

ANNOTATIONS = Items(64, each=ANNOTATION)
LABELS = Items(64, each=LABEL_VALUE)
OBJECTS = Items(64)


@dataclass(frozen=True)
class SecretKey:
    """One key of a Secret in the resource's namespace."""

    name: str = setting("The Secret's name.", rule=OBJECT_NAME)
    key: str = setting("The key in it.", rule=Text("a key of a Secret", r"^[-._a-zA-Z0-9]+$"))


@dataclass(frozen=True)
class Resources:
    """What a container asks for and may use, as in a pod."""

    requests: Mapping[str, Quantity] | None = setting("What is set aside, by resource.", default=None, rule=Items(16))
    limits: Mapping[str, Quantity] | None = setting("What may be used, by resource.", default=None, rule=Items(16))


@dataclass(frozen=True)
class PodTemplate:
    """What is added to pods, in the words of a pod's own spec."""

    labels: Mapping[str, str] | None = setting("Labels added to the pods.", default=None, rule=LABELS)
    annotations: Mapping[str, str] | None = setting("Annotations added to the pods.", default=None, rule=ANNOTATIONS)
    resources: Resources | None = setting(
        "Requests and limits of the container; without it, gateway and worker pods request 100m of CPU and 128Mi.",
        default=None,
    )
    node_selector: Mapping[str, str] | None = setting("Labels that a node must have.", default=None, rule=LABELS)
    tolerations: tuple[KubernetesObject, ...] = setting("Taints that the pods accept.", default=(), rule=OBJECTS)
    affinity: KubernetesObject | None = setting("Affinity, in place of the default spread.", default=None)
    env: tuple[KubernetesObject, ...] = setting("Environment variables of the container.", default=(), rule=OBJECTS)
    env_from: tuple[KubernetesObject, ...] = setting(
        "ConfigMaps and Secrets whose keys become environment variables.", default=(), rule=OBJECTS
    )
    volumes: tuple[KubernetesObject, ...] = setting("Volumes of the pods.", default=(), rule=OBJECTS)
    volume_mounts: tuple[KubernetesObject, ...] = setting(
        "Where the container mounts those volumes.", default=(), rule=OBJECTS
    )
    image_pull_secrets: tuple[str, ...] = setting(
        "Names of the Secrets that hold the registry's credentials.",
        default=(),
        rule=Items(16, each=OBJECT_NAME, unique=True),
    )
    service_account_name: str | None = setting(
        "The pods' service account; without one, an account of their own with no rights.",
        default=None,
        rule=OBJECT_NAME,
    )
    priority_class_name: str | None = setting("The pods' priority class.", default=None, rule=OBJECT_NAME)


@dataclass(frozen=True)
class Storage:
    """A volume per Redis server, so that its data outlives the pods of a shard."""

    size_bytes: int = setting("The size of each volume.", rule=Size(64 * MIB, 16384 * GIB))
    class_name: str | None = setting(
        "The storage class; without one, the cluster's default.", default=None, rule=OBJECT_NAME
    )


@dataclass(frozen=True)
class Service:
    """The Service in front of the gateway pods."""

    annotations: Mapping[str, str] | None = setting("Annotations of the Service.", default=None, rule=ANNOTATIONS)
    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = setting("The Service's type.", default="ClusterIP")


@dataclass(frozen=True)
class Ingress:
    """Exposure through an Ingress."""

    host: str = setting("The host name that clients connect to.", rule=HOST_NAME)
    class_name: str | None = setting(
        "The ingress class; without one, the cluster's default.", default=None, rule=OBJECT_NAME
    )
    tls_secret_name: str | None = setting(
        "The Secret with the certificate; without one, plain HTTP.", default=None, rule=OBJECT_NAME
    )
    annotations: Mapping[str, str] | None = setting(
        "Annotations of the Ingress; they win over those of the preset.", default=None, rule=ANNOTATIONS
    )
    preset: Literal["nginx", "traefik", "haproxy", "skipper"] | None = setting(
        "Adds the annotations with which this ingress controller keeps long-lived WebSockets open.", default=None
    )


@dataclass(frozen=True)
class ParentRef:
    """A Gateway that an HTTPRoute attaches to."""

    name: str = setting("The Gateway's name.", rule=OBJECT_NAME)
    namespace: str | None = setting(
        "The Gateway's namespace; without one, the resource's own.", default=None, rule=OBJECT_NAME
    )
    section_name: str | None = setting("The Gateway's listener; without one, all.", default=None, rule=OBJECT_NAME)
    port: int | None = setting("The listener's port; without one, any.", default=None, rule=Number(1, 65535))


@dataclass(frozen=True)
class HttpRoute:
    """Exposure through the Gateway API."""

    parent_refs: tuple[ParentRef, ...] = setting("The Gateways to attach to.", rule=Items(32, at_least=1))
    hostnames: tuple[str, ...] = setting(
        "Host names that are routed here; none means all of the Gateway's.",
        default=(),
        rule=Items(16, each=HOST_NAME, unique=True),
    )


@dataclass(frozen=True)
class NetworkPolicy:
    """Who may talk to the pods."""

    enabled: bool = setting("Whether network policies are written at all.", default=True)
    ingress_from: tuple[KubernetesObject, ...] = setting(
        "Peers that may reach the gateway pods; none listed means everyone may.", default=(), rule=OBJECTS
    )
    egress_to: tuple[KubernetesObject, ...] = setting(
        "Peers that the gateway and worker pods may reach besides Redis and DNS; none listed means everyone.",
        default=(),
        rule=OBJECTS,
    )
