"""Counters and gauges of this process, as plain integers that anything may add to.

A hot path pays one dict update per count; whoever scrapes pays for everything else. Names follow the Prometheus
conventions; each family has at most one label, whose values are a fixed small set (never a group, user or address).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """One metric family.

    Attributes:
        name: without the project's prefix ``realtime_gateway_``.
        kind: ``counter`` only grows; ``gauge`` is set.
        help: one sentence for the person who reads the page.
        label: the name of its label, or "" for none.
        values: label value → number; the key is "" without a label.
    """

    name: str
    kind: str
    help: str
    label: str = ""
    values: dict[str, float] = field(default_factory=dict, compare=False)

    def add(self, amount: float = 1, label_value: str = "") -> None:
        """Add to a counter or gauge."""
        self.values[label_value] = self.values.get(label_value, 0) + amount

    def set(self, value: float, label_value: str = "") -> None:
        """Set a gauge."""
        self.values[label_value] = value


FAMILIES: dict[str, Family] = {}
_OBSERVERS: list[Callable[[], None]] = []


def counter(name: str, help: str, label: str = "") -> Family:
    """Declare a counter at import time; declaring a name twice is a mistake of ours."""
    return _declare(Family(name, "counter", help, label))


def gauge(name: str, help: str, label: str = "") -> Family:
    """Declare a gauge at import time."""
    return _declare(Family(name, "gauge", help, label))


def before_reading(observe: Callable[[], None]) -> None:
    """Call ``observe`` before each scrape, to set gauges that are cheaper to look up than to keep."""
    _OBSERVERS.append(observe)


def read() -> tuple[Family, ...]:
    """Return every family with its present values, after asking the observers."""
    for observe in _OBSERVERS:
        observe()
    return tuple(FAMILIES.values())


def _declare(family: Family) -> Family:
    if family.name in FAMILIES:
        raise ValueError(f"metric {family.name} is declared twice")
    FAMILIES[family.name] = family
    return family


connections = gauge("connections", "Client connections open now.", "protocol")
handshakes = counter("handshakes", "WebSocket handshakes, by how they ended.", "result")
closed = counter("connections_closed", "WebSocket connections ended, by why.", "reason")
messages_received = counter("messages_received", "WebSocket messages from clients.")
messages_sent = counter("messages_sent", "WebSocket messages to clients.")
layer_published = counter("layer_published", "Messages that a shard acknowledged.", "kind")
layer_delivered = counter("layer_delivered", "Messages put into local mailboxes.", "kind")
layer_dropped = counter("layer_dropped", "Messages dropped by the layer, by why.", "reason")
fan_out_members = counter("fan_out_members", "Members that a rendered message was for, by which way it took.", "way")
fan_out_errors = counter("fan_out_errors", "Messages that a @fanout handler failed to render.")
layer_idle = counter("layer_idle_channels", "Channels dropped with their memberships because nobody received.")
layer_duplicates = counter("layer_duplicates", "Deliveries recognised as seen before, and not repeated.")
layer_reconnects = counter("layer_reconnects", "Connections to shards that had to be made again.")
layer_epoch = gauge("layer_epoch", "Epoch of the host list in use.")
layer_limits = counter("layer_limits", "Questions about limits over all processes, by who has answered.", "by")
database_hops = counter("database_hops", "Dispatches that went to a thread to look after its database connections.")
auth_stack = gauge("auth_stack", "1 for the auth stack that gateway_application has put before the consumers.", "stack")
denials = counter("denials", "WebSocket handshakes that security or auth refused, by why.", "reason")
revocations = counter(
    "revocations", "WebSockets closed because their user may no longer be connected, by why.", "reason"
)
limits_met = counter("limits_met", "Times that a client met a limit of the server, by the limit.", "limit")
loop_blocked = counter("loop_blocked", "Times that the event loop stood still for longer than it may.")
