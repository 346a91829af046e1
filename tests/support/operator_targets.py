"""Resources as the operator gets them, for tests."""

from __future__ import annotations

from typing import Any

from realtime_gateway.resource.parsing import parse_resource
from realtime_operator.target import API_VERSION, KIND, Target

UID = "5f1c1a0e-0000-4000-8000-000000000001"


def target(spec: dict[str, Any] | None = None, *, name: str = "chat", uid: str = UID, paused: bool = False) -> Target:
    """A checked resource from the spec that its author wrote."""
    written = {"application": "chat.asgi:application", **(spec or {})}
    document = {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name, "namespace": "talk"}}
    resource = parse_resource({**document, "spec": written})
    return Target(
        name=resource.name,
        namespace=resource.namespace,
        uid=uid,
        generation=3,
        spec=resource.spec,
        written=written,
        default_image="example.com/realtime-gateway:1.0",
        operator_namespace="rtg-system",
        paused=paused,
    )
