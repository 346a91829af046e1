"""The spec's part about those who send or connect too much: per connection, per user and per client address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from realtime_gateway.resource.fields import GIB, Number, Size, section, setting

# What becomes of a message above a rate. Nothing of it is lost with "delay": its client is read no further.
Policy = Literal["drop", "delay", "close"]
_POLICY = "What becomes of a message above the rate: it is dropped, it waits, or its connection is closed with 1008."


@dataclass(frozen=True)
class MessageRate:
    """A rate of messages."""

    per_second: int = setting("How many per second, over time.", rule=Number(1, 1_000_000))
    burst: int = setting("How many at once; 0 means as many as per second.", default=0, rule=Number(0, 1_000_000))
    policy: Policy = setting(_POLICY, default="close")


@dataclass(frozen=True)
class ByteRate:
    """A rate of bytes of messages."""

    per_second_bytes: int = setting("How many per second, over time.", rule=Size(1, GIB))
    burst_bytes: int = setting("How many at once; 0 means as many as per second.", default=0, rule=Size(0, GIB))
    policy: Policy = setting(_POLICY, default="close")


@dataclass(frozen=True)
class Rates:
    """How much may be sent."""

    messages: MessageRate | None = setting("Messages; left out, there is no limit.", default=None)
    volume: ByteRate | None = setting("Bytes of messages; left out, there is no limit.", default=None, name="bytes")


@dataclass(frozen=True)
class ConnectionCounts:
    """How many connections there may be, over all pods."""

    open_connections: int = setting(
        "Connections at the same time; more are refused with 429; 0 means no limit.",
        default=0,
        rule=Number(0, 1_000_000),
    )
    connections_per_minute: int = setting(
        "New connections per minute, and as many at once; more are refused with 429; 0 means no limit.",
        default=0,
        rule=Number(0, 1_000_000),
    )


@dataclass(frozen=True)
class ConnectionLimits(Rates):
    """What one connection may send."""


@dataclass(frozen=True)
class AddressLimits(ConnectionCounts):
    """What one client address (one /64 of IPv6) may do, over all pods."""


@dataclass(frozen=True)
class UserLimits(ConnectionCounts, Rates):
    """What one user may do, over all pods: rates are of all connections together."""


@dataclass(frozen=True)
class Limits:
    """Limits of WebSockets against those who send or connect too much; act through gateway_application."""

    per_connection: ConnectionLimits = section("What one connection may send.", ConnectionLimits)
    per_user: UserLimits = section("What one user may do, over all pods.", UserLimits)
    per_address: AddressLimits = section("What one client address may do, over all pods.", AddressLimits)
