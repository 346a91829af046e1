"""What the console shows of a cluster: each resource looked at while somebody looks at its page, and not otherwise.

    the page asks ──▶ state ──┬─▶ observe, as a pass does, without deciding     at most every 3 s
                              └─▶ /metrics of every gateway pod                 at most every second

It has connections of its own to Redis, so that a page never stands in a pass's way, and works the same on an operator
that does not lead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from realtime_gateway.console.gateway_numbers import GatewayNumbers, numbers_from
from realtime_gateway.console.history import History
from realtime_gateway.console.pages import read_bytes
from realtime_gateway.hosts import HostList, Shard
from realtime_operator.console import processes
from realtime_operator.kube.client import KubeClient
from realtime_operator.objects import host_list, identity
from realtime_operator.objects.gateway_pods import ADMIN_PORT
from realtime_operator.observe.object_cache import ObjectCache, ResourceKey
from realtime_operator.options import Options
from realtime_operator.reconciler import Reconciler, Sight
from realtime_operator.snapshot import Manifest
from realtime_operator.target import KIND, Target

GLANCE_SECONDS = 3.0
NUMBERS_SECONDS = 1.0
# Pods that are asked at the same time.
ASKED_AT_ONCE = 16
# After so long without a look at the page, connections to Redis are closed.
IDLE_SECONDS = 60.0


class ClusterSource:
    """One resource, as ``realtime_gateway.console.site`` asks for it."""

    def __init__(
        self, key: ResourceKey, reconciler: Reconciler, cache: ObjectCache, clock: Callable[[], float]
    ) -> None:
        self._namespace, self._name = key
        self._reconciler = reconciler
        self._cache = cache
        self._clock = clock
        self._looking = asyncio.Lock()
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE)
        self._seen: Sight | None = None
        self._seen_at = self._numbers_at = float("-inf")
        self._numbers: dict[str, GatewayNumbers] = {}
        self._history = History()
        self._idle: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None

    async def state(self) -> Mapping[str, Any]:
        """Return what runs now, as JSON has it."""
        async with self._looking:
            await self._look()
        seen, status = self._seen, (self._reconciler.resource or {}).get("status", {})
        snapshot = None if seen is None else seen.snapshot
        hosts = snapshot.hosts if snapshot is not None and isinstance(snapshot.hosts, HostList) else None
        conditions = status.get("conditions", ())
        return {
            "name": self._name,
            "url": "",
            "ready": any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
            "epoch": 0 if hosts is None else hosts.epoch,
            "shards": [{"name": shard.name, "weight": shard.weight} for shard in (hosts.shards if hosts else ())],
            "earlier": [
                {"epoch": earlier.epoch, "shards": [shard.name for shard in earlier.shards]}
                for earlier in (hosts.earlier if hosts else ())
            ],
            "can_preview": seen is not None and seen.target.spec.redis.managed is not None,
            "processes": [] if snapshot is None else processes.rows(self._name, snapshot, self._pods(), self._numbers),
            "conditions": [
                {word: str(one.get(word, "")) for word in ("type", "status", "reason", "message")} for one in conditions
            ],
            "history": self._history.samples(),
        }

    def admin_ports(self) -> Mapping[str, str]:
        """Return the URLs of the admin ports of gateway and worker pods, both of which tell spans."""
        return self._admin_ports(identity.GATEWAY, identity.WORKER)

    def _admin_ports(self, *components: str) -> dict[str, str]:
        found = {}
        for pod in self._pods():
            address = pod.get("status", {}).get("podIP", "")
            if address and pod["metadata"].get("labels", {}).get(identity.COMPONENT_LABEL) in components:
                host = f"[{address}]" if ":" in address else address
                found[pod["metadata"]["name"]] = f"http://{host}:{ADMIN_PORT}"
        return found

    def lists(self, shards: int | None) -> tuple[Sequence[Shard], Sequence[Shard]] | None:
        """Return the shards now and with another number of them, or before and after the roll under way."""
        seen = self._seen
        if seen is None or not isinstance(seen.snapshot.hosts, HostList):
            return None
        hosts = seen.snapshot.hosts
        if shards is None:
            return (hosts.earlier[-1].shards if hosts.earlier else hosts.shards), hosts.shards
        return _previewed(seen.target, hosts, shards)

    async def close(self) -> None:
        """Close the connections to Redis; the next look makes new ones."""
        if self._idle is not None:
            self._idle.cancel()
        await self._reconciler.servers.close()

    async def _look(self) -> None:
        self._rest_later()
        now = self._clock()
        if now - self._seen_at >= GLANCE_SECONDS:
            self._seen, self._seen_at = await self._reconciler.sight(), self._clock()
        if now - self._numbers_at >= NUMBERS_SECONDS:
            self._numbers_at = now
            await self._read_numbers()

    async def _read_numbers(self) -> None:
        bases = self._admin_ports(identity.GATEWAY)
        told = await asyncio.gather(*(self._numbers_of(base) for base in bases.values()))
        found = zip(bases, told, strict=True)
        self._numbers = {name: numbers for name, numbers in found if numbers is not None}
        self._history.add(self._clock(), {name: numbers.totals for name, numbers in self._numbers.items()})

    async def _numbers_of(self, base: str) -> GatewayNumbers | None:
        async with self._asking:
            page = await read_bytes(f"{base}/metrics")
        return None if page is None else numbers_from(page.decode(errors="replace"))

    def _pods(self) -> list[Manifest]:
        return self._cache.pods_of(self._namespace, self._name)

    def _rest_later(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._rest)

    def _rest(self) -> None:
        self._closing = asyncio.get_running_loop().create_task(self.close(), name="console rests")


def _previewed(target: Target, hosts: HostList, shards: int) -> tuple[Sequence[Shard], Sequence[Shard]] | None:
    if target.spec.redis.managed is None:
        return None
    return hosts.shards, tuple(host_list.managed_shard(target, index) for index in range(shards))


class Cluster:
    """The resources that an operator watches, each with a source that begins with the first look at it."""

    def __init__(self, options: Options, client: KubeClient, cache: ObjectCache, clock: Callable[[], float]) -> None:
        self._options = options
        self._client = client
        self._cache = cache
        self._clock = clock
        self._sources: dict[ResourceKey, ClusterSource] = {}
        self._gone: set[asyncio.Task[None]] = set()

    def sources(self) -> Mapping[str, ClusterSource]:
        """Return the sources now, as NAMESPACE/NAME."""
        keys = sorted((namespace, key.name) for namespace, key in self._cache.keys(KIND))
        for key in self._sources.keys() - set(keys):
            task = asyncio.get_running_loop().create_task(
                self._sources.pop(key).close(), name="console of what is gone"
            )
            self._gone.add(task)
            task.add_done_callback(self._gone.discard)
        return {f"{key[0]}/{key[1]}": self._source(key) for key in keys}

    def _source(self, key: ResourceKey) -> ClusterSource:
        if key not in self._sources:
            reader = Reconciler(key, self._options, self._client, self._cache, lambda: False, self._clock)
            self._sources[key] = ClusterSource(key, reader, self._cache, self._clock)
        return self._sources[key]

    async def close(self) -> None:
        """Close what is open."""
        sources, self._sources = list(self._sources.values()), {}
        await asyncio.gather(*(source.close() for source in sources), *self._gone)
