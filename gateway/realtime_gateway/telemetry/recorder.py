"""Counters, gauges and histograms of this process, as plain numbers that anything may add to.

A hot path pays one dict update per count; whoever scrapes pays for everything else. Names follow the Prometheus
conventions, with base units; each family has at most one label, whose values are a small set: fixed words, or the
shards of the host list, never a group, user or address.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from realtime_gateway import endings
from realtime_gateway.telemetry.histogram import Exemplar, Histogram


@dataclass(frozen=True)
class Family:
    """One metric family.

    Attributes:
        name: without the project's prefix ``realtime_gateway_``.
        kind: ``counter`` only grows; ``gauge`` is set.
        help: one sentence for the person who reads the page.
        label: the name of its label, or "" for none.
        values: label value → number; the key is "" without a label.
        exemplars: of a counter: label value → the newest of what it counted that has a trace.
    """

    name: str
    kind: str
    help: str
    label: str = ""
    values: dict[str, float] = field(default_factory=dict, compare=False)
    exemplars: dict[str, Exemplar] = field(default_factory=dict, compare=False)

    def add(self, amount: float = 1, label_value: str = "") -> None:
        """Add to a counter or gauge."""
        try:
            self.values[label_value] += amount
        except KeyError:
            self.values[label_value] = amount

    def exemplify(self, trace: bytes, label_value: str = "") -> None:
        """Say in which trace the last of what was counted is, as the envelope carries its context."""
        self.exemplars[label_value] = Exemplar(trace, 1.0, time.time())

    def set(self, value: float, label_value: str = "") -> None:
        """Set a gauge."""
        self.values[label_value] = value

    def keep(self, label_values: Collection[str]) -> None:
        """Forget every label value but these."""
        for gone in self.values.keys() - set(label_values):
            del self.values[gone]


FAMILIES: dict[str, Family | Histogram] = {}


def counter(name: str, help: str, label: str = "", label_values: Iterable[str] = ()) -> Family:
    """Declare a counter at import time; declaring a name twice is a mistake of ours.

    Label values that are known stand on the page from the start: a rate over a counter that appears late misses its
    first step.
    """
    declared = _declare_family(Family(name, "counter", help, label))
    for value in label_values:
        declared.add(0, value)
    return declared


def gauge(name: str, help: str, label: str = "", label_values: Iterable[str] = ()) -> Family:
    """Declare a gauge at import time, all of whose known label values are on the page from the start."""
    declared = _declare_family(Family(name, "gauge", help, label))
    for value in label_values:
        declared.set(0, value)
    return declared


def histogram(name: str, help: str, label: str = "", label_values: Collection[str] = ("",)) -> Histogram:
    """Declare a histogram at import time, all of whose label values are on the page from the start."""
    declared = Histogram(name, help, label)
    for value in label_values:
        declared.open(value)
    _declare(declared)
    return declared


def read() -> tuple[Family | Histogram, ...]:
    """Return every family with its present values."""
    return tuple(FAMILIES.values())


def _declare_family(family: Family) -> Family:
    _declare(family)
    return family


def _declare(family: Family | Histogram) -> None:
    if family.name in FAMILIES:
        raise ValueError(f"metric {family.name} is declared twice")
    FAMILIES[family.name] = family


# The server.
connections = gauge("connections", "Client connections open now.", "protocol", ("http", "websocket"))
handshakes = counter(
    "handshakes",
    "WebSocket handshakes, by how they ended.",
    "result",
    ("accepted", "rejected", "failed", "timeout", "abandoned", "malformed", *(one.label for one in endings.REFUSALS)),
)
closed = counter(
    "connections_closed", "WebSocket connections ended, by why.", "reason", (one.label for one in endings.EVERY)
)
messages_received = counter("messages_received", "WebSocket messages from clients.")
messages_sent = counter("messages_sent", "WebSocket messages to clients.")
received_bytes = counter("received_bytes", "Payload of WebSocket messages from clients, decompressed.")
sent_bytes = counter("sent_bytes", "Frames of WebSocket messages to clients, as they are on the wire.")
limits_met = counter("limits_met", "Times that a client met a limit of the server, by the limit.", "limit")
loop_blocked = counter("loop_blocked", "Times that the event loop stood still for longer than it may.")
exports_failed = counter(
    "exports_failed", "Exports that a collector did not take, by what was in them.", "signal", ("metrics", "traces")
)
spans_dropped = counter(
    "spans_dropped",
    "Spans that no collector got, by why: the queue was full, or their export failed.",
    "reason",
    ("queue_full", "refused"),
)
log_lines_suppressed = counter(
    "log_lines_suppressed", "Lines left out of the log, since others had just said the same."
)
# Security and auth.
auth_stack = gauge("auth_stack", "1 for the auth stack that gateway_application has put before the consumers.", "stack")
layer_limits = counter("layer_limits", "Questions about limits over all processes, by who has answered.", "by")
secret_changes = counter(
    "secret_changes",
    "New contents of files with secrets, by whether they are used or could not be.",
    "result",
    ("used", "refused"),
)
denials = counter("denials", "WebSocket handshakes that security or auth refused, by why.", "reason")
revocations = counter(
    "revocations",
    "WebSockets closed because their user may no longer be connected, by why.",
    "reason",
    ("revoked", "revalidated", "expired"),
)
# Consumers and fan-out.
database_hops = counter("database_hops", "Dispatches that went to a thread to look after its database connections.")
_WAYS = ("direct", "mailbox")
fan_out_members = counter(
    "fan_out_members", "Members that a rendered message was for, by which way it took.", "way", _WAYS
)
fan_out_errors = counter("fan_out_errors", "Messages that a @fanout handler failed to render.")
delivery_seconds = histogram(
    "delivery_seconds",
    "From the sender's send until frames are with the sockets (direct) or a member's consumer takes it (mailbox).",
    "way",
    _WAYS,
)
# The layer's messages.
_KINDS = ("group", "channel", "queue")
layer_published = counter(
    "layer_published", "Messages that a shard acknowledged, by what they are for.", "kind", _KINDS
)
layer_publish_seconds = histogram(
    "layer_publish_seconds",
    "From send or group_send until a shard has acknowledged the message.",
    "kind",
    _KINDS,
)
layer_refused = counter(
    "layer_refused",
    "Calls of the layer that raised, by why: the channel was full, its shard refused, or it could not be reached.",
    "reason",
    ("full", "refused", "unavailable"),
)
layer_resent = counter("layer_resent", "Messages sent again to a shard that is another server, or the group's new one.")
layer_delivered = counter("layer_delivered", "Messages put into local mailboxes.", "kind", _KINDS)
layer_replayed = counter("layer_replayed", "Messages read back from a shard's history, as they were not pushed here.")
layer_duplicates = counter("layer_duplicates", "Deliveries recognised as seen before, and not repeated.")
layer_dropped = counter("layer_dropped", "Messages dropped by the layer, by why.", "reason")
layer_queue_wait_seconds = histogram(
    "layer_queue_wait_seconds", "For how long a message to a worker stood in its queue until a receiver got it."
)
# The layer's state, looked at once a second.
layer_waiting = gauge(
    "layer_waiting_messages",
    "Messages that wait in this process, by where.",
    "where",
    ("unsent", "in_flight", "kept", "turn", "mailbox"),
)
layer_waiting_bytes = gauge(
    "layer_waiting_bytes", "What waits for the shards in this process, by where.", "where", ("unsent", "kept")
)
layer_oldest = gauge("layer_oldest_unsent_seconds", "Age of the oldest message that no shard has acknowledged yet.")
layer_mailboxes = gauge("layer_mailboxes", "Channels of this process that can be sent to.")
layer_groups = gauge(
    "layer_groups", "Groups, and the inbox, that this process receives, by state.", "state", ("live", "catching_up")
)
layer_idle = counter("layer_idle_channels", "Channels dropped with their memberships because nobody received.")
layer_key_settling = gauge(
    "layer_key_settling", "1 while the newest encryption key of the keys' file only decrypts; 0 when it encrypts."
)
# Shards.
layer_shard_up = gauge("layer_shard_up", "Whether the connections to a shard are open: 1 or 0.", "shard")
layer_reconnects = counter("layer_reconnects", "Connections to shards that had to be made again.")
layer_connection_failures = counter(
    "layer_connection_failures",
    "Connections to shards that could not be made, by why: certificates (tls), an error as answer, no answer.",
    "reason",
    ("tls", "refused", "unreachable"),
)
layer_failovers = counter("layer_failovers", "Times that a shard came back as another server.", "shard")
layer_epoch = gauge("layer_epoch", "Epoch of the host list in use.")
layer_epoch_settled = gauge("layer_epoch_settled", "Epoch of the host list to which every move is finished.")
layer_clock_offset = gauge(
    "layer_clock_offset_seconds", "By how much a shard's clock is ahead of this process's, estimated.", "shard"
)
layer_clock_error = gauge(
    "layer_clock_error_seconds", "By how much that estimate may be wrong: half of the round trip.", "shard"
)
