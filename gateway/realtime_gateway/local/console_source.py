"""What the console shows of a run of `up`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from realtime_gateway.hosts import Shard
from realtime_gateway.local.child import Child
from realtime_gateway.local.plan import LOOPBACK, GatewayAnswers, Kind, WorkerReports
from realtime_gateway.local.present import Present
from realtime_gateway.local.watching import Watcher


class LocalSource:
    """A run, as ``console.site`` asks for it.

    Args:
        present: what runs.
        watcher: what has been seen of it.
    """

    def __init__(self, present: Present, watcher: Watcher) -> None:
        self._present = present
        self._watcher = watcher

    async def state(self) -> Mapping[str, Any]:
        """Return what runs now, as JSON has it."""
        present, hosts = self._present.state, self._present.state.hosts
        rows = zip(self._watcher.screen().rows, self._present.group.children.values(), strict=True)
        return {
            "name": present.resource.name,
            "url": self._present.place.url,
            "ready": self._present.group.is_ready,
            "epoch": hosts.epoch,
            "shards": [{"name": shard.name, "weight": shard.weight} for shard in hosts.shards],
            "earlier": [
                {"epoch": earlier.epoch, "shards": [shard.name for shard in earlier.shards]}
                for earlier in hosts.earlier
            ],
            "can_preview": present.resource.spec.redis.managed is not None,
            "processes": [
                {
                    **asdict(row),
                    "kind": child.plan.kind.value,
                    "shard": child.plan.name.rpartition("-")[0] if child.plan.kind is Kind.REDIS else "",
                    "epoch": self._watcher.epoch_of(child.plan.name),
                }
                for row, child in rows
            ],
            "conditions": [],
            "history": self._watcher.history.samples(),
        }

    def admin_ports(self) -> Mapping[str, str]:
        """Return the URLs of the admin ports of gateways and workers, by process."""
        children = self._present.group.children.items()
        found = {name: _admin_port(child) for name, child in children}
        return {name: f"http://{LOOPBACK}:{port}" for name, port in found.items() if port}

    def lists(self, shards: int | None) -> tuple[Sequence[Shard], Sequence[Shard]] | None:
        """Return the shards now and with another number of them, or before and after the roll under way."""
        state = self._present.state
        now = state.hosts.shards
        if shards is None:
            return (state.hosts.earlier[-1].shards if state.hosts.earlier else now), now
        if state.resource.spec.redis.managed is None:
            return None
        # The names are all that counts, and weights are equal.
        return now, tuple(Shard(f"{state.resource.name}-redis-{index}") for index in range(shards))


def _admin_port(child: Child) -> int:
    match child.plan.readiness:
        case GatewayAnswers(admin_port) | WorkerReports(admin_port=admin_port):
            return admin_port
    return 0
