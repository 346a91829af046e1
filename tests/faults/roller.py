"""What an operator does to the host list: allots an epoch, fences every shard, and sees who has followed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.names import CONTROL, Names, queue
from realtime_gateway.layer.shards.scripts import load

PREFIX = "asgi"


class Roller:
    """Changes which shards there are, as protocol.md's OPERATOR.

    Args:
        shards: every shard that there will ever be, by name: its entry of ``hosts``.
        start: the shards of epoch 0, which every process begins with.
        client_of: returns a client of a shard's present primary; closed after use.
    """

    def __init__(
        self, shards: Mapping[str, Mapping[str, Any]], start: Iterable[str], client_of: Callable[[str], redis.Redis]
    ) -> None:
        self._shards = {name: Shard(name, 1.0, dict(entry)) for name, entry in shards.items()}
        self._client_of = client_of
        self._names = Names(PREFIX)
        self.hosts = HostList(0, tuple(self._shards[name] for name in start))

    def roll(self, *names: str) -> HostList:
        """Make a list of exactly these shards the newest, and fence every shard that is within reach."""
        before = self.hosts
        earlier = (HostList(before.epoch, before.shards), *before.earlier)
        self.hosts = HostList(before.epoch + 1, tuple(self._shards[name] for name in names), earlier)
        self._fence()
        return self.hosts

    def drained(self) -> bool:
        """Whether nothing waits in a queue of a shard that is only in earlier lists."""
        leaving = {shard.name for hosts in self.hosts.earlier for shard in hosts.shards}
        leaving -= {shard.name for shard in self.hosts.shards}
        return not any(self._has_queues(shard) for shard in leaving)

    def retire(self) -> HostList:
        """Forget all earlier lists, which is an epoch of its own.

        Everybody must have reported the present one before, and what waited in queues must be gone.
        """
        self.hosts = HostList(self.hosts.epoch + 1, self.hosts.shards)
        self._fence()
        return self.hosts

    def followed_by(self, number: int) -> bool:
        """Whether so many processes say, on every shard of the newest list, that they act by it."""
        return all(self._reports(shard.name) >= number for shard in self.hosts.shards)

    def _reports(self, shard: str) -> int:
        with self._client_of(shard) as client:
            processes = client.zrange(self._names.processes, 0, -1)
            said = [client.get(self._names.process(process.decode())) for process in processes]
        return sum(json.loads(one)["epoch"] >= self.hosts.epoch for one in said if one)

    def _has_queues(self, shard: str) -> bool:
        with self._client_of(shard) as client:
            return any(client.scan_iter(match=self._names.key(queue("*"))))

    def _fence(self) -> None:
        fence = load()["fence"].text
        everywhere = {shard.name for hosts in (self.hosts, *self.hosts.earlier) for shard in hosts.shards}
        keys = (self._names.epoch, self._names.hosts, self._names.data_set)
        for shard in sorted(everywhere):
            topic = self._names.topic(shard, CONTROL)
            try:
                with self._client_of(shard) as client:
                    client.eval(fence, len(keys), *keys, self.hosts.epoch, self.hosts.to_json(), "word", topic)
            except (redis.RedisError, OSError):
                # Whoever comes to it first fences it.
                continue
