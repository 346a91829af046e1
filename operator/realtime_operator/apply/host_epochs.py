"""New host lists: the durable copy, by a write that names the version it replaces, and then the shards."""

from __future__ import annotations

from importlib import resources
from typing import Any

from realtime_operator import tracing
from realtime_operator.apply.server_side_apply import create
from realtime_operator.kube.client import MERGE_PATCH, KubeClient
from realtime_operator.observe.redis_servers import RedisServers
from realtime_operator.plan import AnnounceHosts, MintHosts
from realtime_operator.snapshot import ObjectKey

REPLICA_WAIT_MS = 500


async def mint(client: KubeClient, action: MintHosts) -> dict[str, Any]:
    """Write the durable host list; a conflict says that somebody else has made the next epoch.

    A patch that names a version is refused like a PUT when another one is there, and needs one right less.
    """
    # So that the steps of a roll, which are passes of their own, lead to where it began.
    made_in = tracing.traceparent()
    if action.resource_version is None:
        annotated = {"annotations": {tracing.ANNOTATION: made_in}} if made_in else {}
        return await create(client, {**action.manifest, "metadata": {**action.manifest["metadata"], **annotated}})
    metadata = {
        **action.manifest["metadata"],
        "resourceVersion": action.resource_version,
        "annotations": {tracing.ANNOTATION: made_in or None},
    }
    body = {"metadata": metadata, "data": action.manifest["data"]}
    key = ObjectKey("ConfigMap", metadata["name"])
    return await client.patch(key, metadata["namespace"], body, content_type=MERGE_PATCH)


async def announce(servers: RedisServers, action: AnnounceHosts, prefix: str) -> None:
    """Tell a shard, and give one replica a moment to have it too."""
    script = (resources.files(__package__) / "announce.lua").read_text()
    # The layer's names: its keys, and its control channel on this shard.
    keys = (f"{prefix}:epoch", f"{prefix}:hosts")
    arguments = (str(action.hosts.epoch), action.hosts.to_json(), f"{prefix}:{action.shard}:control")
    await servers.tell(action.primary, "EVAL", script, len(keys), *keys, *arguments)
    await servers.tell(action.primary, "WAIT", 1, REPLICA_WAIT_MS)
