"""The channel layer: how consumers in any process reach one another over Redis shards.

`channel_layer` is what Django Channels sees; `machine` decides and does no I/O; `shards` talks to Redis and decides
nothing; `driver` stands between the two. Users name `realtime_gateway.layer.RedisChannelLayer` as their BACKEND.
"""

from realtime_gateway.layer.channel_layer import RedisChannelLayer

__all__ = ["RedisChannelLayer"]
