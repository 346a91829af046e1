"""The channel layer: how consumers in any process reach one another over Redis shards.

`channel_layer` is what Django Channels sees; `machine` decides and does no I/O; `shards` talks to Redis and decides
nothing; `driver` stands between the two. Users name `realtime_gateway.layer.RedisChannelLayer` as their BACKEND.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime_gateway.layer.channel_layer import RedisChannelLayer

__all__ = ["RedisChannelLayer"]


def __getattr__(name: str) -> Any:
    # On first use: tools that only need the names in Redis have neither Django nor Channels to import.
    if name == "RedisChannelLayer":
        from realtime_gateway.layer.channel_layer import RedisChannelLayer

        return RedisChannelLayer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
