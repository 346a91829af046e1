"""The status written, when it differs from what is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realtime_operator.kube.client import MERGE_PATCH, KubeClient
from realtime_operator.snapshot import Manifest, ObjectKey
from realtime_operator.target import KIND

# What a status may have and a new one may lack; a merge patch keeps what it does not name.
_MAY_GO = ("url", "connections", "hosts")


def difference(before: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a status that must be written; None for one that must go."""
    changed = {name: value for name, value in status.items() if before.get(name) != value}
    return {**changed, **{name: None for name in _MAY_GO if name in before and name not in status}}


async def write(client: KubeClient, resource: Manifest, status: Mapping[str, Any]) -> Manifest | None:
    """Write what has changed and return the resource as it is then; None when nothing has."""
    changed = difference(resource.get("status", {}), status)
    if not changed:
        return None
    metadata = resource["metadata"]
    key = ObjectKey(KIND, metadata["name"])
    body = {"status": changed}
    return await client.patch(key, metadata["namespace"], body, content_type=MERGE_PATCH, subresource="status")
