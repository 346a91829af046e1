"""What all pods have in common: the template around a container, and what the resource adds to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.resource.cluster import PodTemplate
from realtime_operator.objects import identity, quantities, security_context
from realtime_operator.target import API_GROUP, Target

# Changes of what a pod only reads at its start must make new pods, so the template carries a hash of it.
INPUTS_ANNOTATION = f"{API_GROUP}/inputs"
NOTHING_ADDED = PodTemplate()


@dataclass(frozen=True)
class PodShape:
    """What differs from one component's pods to another's.

    Attributes:
        selector: the labels by which their controller finds them.
        container: name, image, command, ports, probes, env and mounts.
        volumes: those that the operator itself mounts.
        inputs: the content of ConfigMaps that is read only at start.
        user: the numeric user to run as; None leaves it to the image.
        added: what the resource adds.
    """

    component: str
    labels: Mapping[str, str]
    selector: Mapping[str, str]
    container: Mapping[str, Any]
    grace_seconds: int
    account: str
    volumes: tuple[Mapping[str, Any], ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    user: int | None = None
    added: PodTemplate = NOTHING_ADDED


def template(target: Target, shape: PodShape) -> dict[str, Any]:
    """The pod template of a Deployment or StatefulSet."""
    added = shape.added
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "serviceAccountName": added.service_account_name or shape.account,
        "securityContext": security_context.for_pod(shape.user),
        "terminationGracePeriodSeconds": shape.grace_seconds,
        "containers": [_container(shape)],
        "topologySpreadConstraints": _spread(shape),
    }
    optional = {
        "volumes": [*shape.volumes, *added.volumes],
        "nodeSelector": dict(added.node_selector or {}),
        "tolerations": list(added.tolerations),
        "affinity": dict(added.affinity or {}),
        "imagePullSecrets": [{"name": name} for name in added.image_pull_secrets],
        "priorityClassName": added.priority_class_name,
    }
    if added.affinity:
        del spec["topologySpreadConstraints"]
    annotations = {**(added.annotations or {}), **shape.annotations, INPUTS_ANNOTATION: digest(shape.inputs)}
    return {
        # What finds the pods may not be overridden by labels that the resource adds.
        "metadata": {"labels": {**(added.labels or {}), **shape.labels}, "annotations": annotations},
        "spec": {**spec, **{name: value for name, value in optional.items() if value}},
    }


def digest(content: object) -> str:
    """A short hash of JSON-like content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def from_field(name: str, path: str) -> dict[str, Any]:
    """An environment variable with a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def from_secret(name: str, secret: str, key: str) -> dict[str, Any]:
    """An environment variable with a key of a Secret."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def config_volume(name: str, config_map: str, mode: int = 0o444) -> dict[str, Any]:
    """A volume with a ConfigMap's keys as files; never mounted by subPath, or changes would not arrive."""
    return {"name": name, "configMap": {"name": config_map, "defaultMode": mode}}


def secret_volume(name: str, secret: str, keys: Sequence[str], *, mode: int = 0o440) -> dict[str, Any]:
    """A volume with some of a Secret's keys as files, by default for the pod's group only."""
    items = [{"key": key, "path": key} for key in keys]
    return {"name": name, "secret": {"secretName": secret, "defaultMode": mode, "items": items}}


def scratch_volume(name: str, *, in_memory: bool = False) -> dict[str, Any]:
    """A volume that goes with the pod, and is on no disk if asked."""
    return {"name": name, "emptyDir": {"medium": "Memory"} if in_memory else {}}


def mount(name: str, path: str, *, read_only: bool = True) -> dict[str, Any]:
    """Where a container sees a volume."""
    return {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}


def service_account(target: Target, name: str, component: str) -> dict[str, Any]:
    """An account without rights and without a token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": identity.metadata(target, name, component),
        "automountServiceAccountToken": False,
    }


def _container(shape: PodShape) -> dict[str, Any]:
    added = shape.added
    container = dict(shape.container)
    own = {variable["name"] for variable in container.get("env", ())}
    container["env"] = [*container.get("env", ()), *(v for v in added.env if v.get("name") not in own)]
    container["volumeMounts"] = [*container.get("volumeMounts", ()), *added.volume_mounts]
    if added.env_from:
        container["envFrom"] = list(added.env_from)
    if added.resources:
        container["resources"] = quantities.resources(added.resources)
    # A container that ends badly leaves the end of its log as its last words, for the condition that reports it.
    container["terminationMessagePolicy"] = "FallbackToLogsOnError"
    container["securityContext"] = security_context.for_container(read_only_root=shape.user is not None)
    return {name: value for name, value in container.items() if value != []}


def _spread(shape: PodShape) -> list[dict[str, Any]]:
    """Over hosts and zones where possible, counting only pods of the same revision, so that a roll stays even."""
    revision = [] if shape.component in {identity.REDIS, identity.SENTINEL} else ["pod-template-hash"]
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": dict(shape.selector)},
            **({"matchLabelKeys": revision} if revision else {}),
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]
