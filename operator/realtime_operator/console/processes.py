"""Pure. The pods of a resource as the console shows processes: a row each, in the order in which they depend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from realtime_gateway.console.gateway_numbers import GatewayNumbers
from realtime_operator.objects import identity
from realtime_operator.snapshot import Fleet, Manifest, Pod, Process, Server, Shard, Snapshot, Unknown


def rows(
    resource: str, snapshot: Snapshot, seen: Iterable[Manifest], numbers: Mapping[str, GatewayNumbers]
) -> list[dict[str, Any]]:
    """Return the rows.

    Args:
        resource: its name, which those of its pods begin with.
        snapshot: what was seen of it.
        seen: its pods, as the API server returned them.
        numbers: of gateways that told them, by pod.
    """
    restarts = {pod["metadata"]["name"]: _restarts(pod) for pod in seen}
    fleet = snapshot.fleet.processes if isinstance(snapshot.fleet, Fleet) else ()
    made = [
        *_of_application(snapshot, {process.name: process for process in fleet}, numbers),
        *(row for shard in snapshot.shards for row in _of_shard(shard)),
        *(_row(pod, identity.SENTINEL) for pod in snapshot.pods_of(identity.SENTINEL)),
        *(_row(pod, identity.CACHE) for pod in snapshot.pods_of(identity.CACHE)),
    ]
    for row in made:
        row["restarts"] = restarts.get(row["name"], 0)
        row["name"] = row["name"].removeprefix(f"{resource}-")
    return made


def _of_application(
    snapshot: Snapshot, fleet: Mapping[str, Process], numbers: Mapping[str, GatewayNumbers]
) -> Iterator[dict[str, Any]]:
    for kind in (identity.GATEWAY, identity.WORKER):
        for pod in snapshot.pods_of(kind):
            reported, told = fleet.get(pod.name), numbers.get(pod.name)
            # What a process reports on the shards is some seconds old; its own port knows better.
            epoch = (told.epoch if told else reported.epoch if reported else 0) or None
            open_now = told.connections if told else reported.connections if reported else None
            yield {**_row(pod, kind), "epoch": epoch, "connections": open_now if kind == identity.GATEWAY else None}


def _of_shard(shard: Shard) -> Iterator[dict[str, Any]]:
    for member in shard.members:
        if member.pod is None:
            continue
        row = _row(member.pod, identity.REDIS)
        server = member.server
        role = server.role.value if isinstance(server, Server) else "unknown"
        address = "" if member.address is None else str(member.address)
        row |= {"role": role, "address": address, "shard": shard.name}
        if isinstance(server, Unknown) and row["state"] == "ready":
            row |= {"state": "waiting", "note": server.why}
        yield row


def _row(pod: Pod, kind: str) -> dict[str, Any]:
    return {
        "name": pod.name,
        "kind": kind,
        "role": kind,
        "address": "",
        "pid": None,
        "state": _state(pod),
        "note": pod.trouble and f"{pod.trouble} {pod.message}".strip(),
        "connections": None,
        "shard": "",
        "epoch": None,
    }


def _state(pod: Pod) -> str:
    if pod.deleting:
        return "stopping"
    if pod.crashes:
        return "restarting"
    return "ready" if pod.ready else "starting"


def _restarts(pod: Manifest) -> int:
    return sum(int(one.get("restartCount", 0)) for one in pod.get("status", {}).get("containerStatuses", ()))
