"""What runs the user's consumers: Channels' WebSocket consumers with ``@fanout``, and what makes dispatch cheaper.

    from realtime_gateway.consumers import AsyncJsonWebsocketConsumer, fanout

Imports Django, Channels, ``fanout``, ``security`` and what lies below; knows no server, layer or auth.
"""

from realtime_gateway.consumers.permissions import requires
from realtime_gateway.consumers.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from realtime_gateway.fanout.handlers import fanout
from realtime_gateway.security.permissions import NotAllowed

__all__ = [
    "AsyncJsonWebsocketConsumer",
    "AsyncWebsocketConsumer",
    "JsonWebsocketConsumer",
    "NotAllowed",
    "WebsocketConsumer",
    "fanout",
    "requires",
]
