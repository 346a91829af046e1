"""Running one of the layer's Lua scripts by its name."""

from __future__ import annotations

from typing import Any

import redis

from realtime_gateway.layer.shards.scripts import load


def run(client: redis.Redis, name: str, keys: list[str], *arguments: Any) -> Any:
    """Return what the script answers."""
    return client.eval(load()[name].text, len(keys), *keys, *arguments)
