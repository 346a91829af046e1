"""A pytest plugin for channels_redis's own suite: our layer in the place of both of its layers, on servers of ours."""

from __future__ import annotations

import os
from typing import Any

import channels_redis.core
import channels_redis.pubsub

from realtime_gateway.layer import RedisChannelLayer

channels_redis.core.RedisChannelLayer = RedisChannelLayer
channels_redis.pubsub.RedisPubSubChannelLayer = RedisChannelLayer


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Point the suite's hosts, which are fixed ports of localhost, to the servers that were started for it."""
    url, sentinel_port = os.environ["REDIS_URL"], int(os.environ["SENTINEL_PORT"])
    for module in {item.module for item in items}:
        for name in ("TEST_HOSTS", "MULTIPLE_TEST_HOSTS"):
            hosts = getattr(module, name, [])
            for index, host in enumerate(hosts):
                if isinstance(host, dict):
                    host["sentinels"] = [("127.0.0.1", sentinel_port)]
                else:
                    hosts[index] = url if name == "TEST_HOSTS" else f"{url}/{index}"
