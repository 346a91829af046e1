"""The channel layers that run the same contract: upstream's as the measure, ours in each way of being deployed."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from channels.layers import InMemoryChannelLayer
from channels_redis.core import RedisChannelLayer as UpstreamLayer
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.layer import RedisChannelLayer

UPSTREAM = ("memory", "channels_redis")
OURS = ("one shard", "three shards", "sentinel")


@dataclass(frozen=True)
class Servers:
    """Real servers for one module of tests."""

    shards: tuple[RedisProcess, ...]
    watched: RedisProcess
    sentinel: SentinelProcess

    def hosts(self, backend: str) -> list[Any]:
        if backend == "sentinel":
            return [{"sentinels": [self.sentinel.address], "master_name": "contract"}]
        count = 3 if backend == "three shards" else 1
        return [shard.url for shard in self.shards[:count]]


def run_servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        shards = tuple(stack.enter_context(RedisProcess()) for _ in range(3))
        watched = stack.enter_context(RedisProcess())
        sentinel = stack.enter_context(SentinelProcess({"contract": watched}))
        yield Servers(shards, watched, sentinel)


class Deployment:
    """Layers as several processes would have them, over one backend."""

    def __init__(self, backend: str, servers: Servers, **options: Any) -> None:
        self.backend = backend
        self._servers = servers
        self._options = {"prefix": f"test-{uuid.uuid4().hex[:8]}", **options}
        self._made: list[Any] = []

    @property
    def ours(self) -> bool:
        return self.backend in OURS

    def process(self, **options: Any) -> Any:
        """Return the layer of one more process; the in-memory layer has only one."""
        options = {**self._options, **options}
        if self.backend == "memory":
            options.pop("prefix")
            if not self._made:
                self._made.append(InMemoryChannelLayer(**options))
            return self._made[0]
        kind = UpstreamLayer if self.backend == "channels_redis" else RedisChannelLayer
        layer = kind(hosts=self._servers.hosts(self.backend), **options)
        self._made.append(layer)
        return layer

    async def close(self) -> None:
        for layer in self._made:
            await layer.flush()
            await (layer.close_pools() if self.backend == "channels_redis" else layer.close())


@asynccontextmanager
async def deployed(backend: str, servers: Servers, **options: Any) -> AsyncIterator[Deployment]:
    deployment = Deployment(backend, servers, **options)
    try:
        yield deployment
    finally:
        await deployment.close()
