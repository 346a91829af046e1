"""What is shown: one page for each question that somebody has who looks."""

from __future__ import annotations

from charts.monitoring.operator_page import OPERATOR
from charts.monitoring.panels import PLACE, Lines, Number, Page, Query
from charts.monitoring.queries import RATE, latency, metric, rate, spread

_DELIVERY = latency(
    "From sender to receiver",
    "Across processes: until frames are with the sockets (direct) or a member's consumer has the message (mailbox).",
    "delivery_seconds",
    "way",
)
_MESSAGES = Lines(
    "Messages of clients",
    "WebSocket messages, in and out.",
    "mps",
    [Query(rate("messages_received_total"), "in"), Query(rate("messages_sent_total"), "out")],
)
_DROPPED = Lines(
    "Dropped, by reason",
    "What the layer let go; docs/channel-layer.md has what each reason means.",
    "mps",
    [Query(rate("layer_dropped_total", "reason"), "{{reason}}")],
)
_SHARDS_UP = Lines(
    "Shards that processes reach",
    "The share of processes whose connections to a shard are open.",
    "percentunit",
    [Query(f"avg by (shard) ({metric('layer_shard_up')})", "{{shard}}")],
)

OVERVIEW = Page(
    "realtime-gateway-overview",
    "Overview",
    "Is all well? How much is going on?",
    "realtime_gateway_connections",
    {
        "Now": [
            Number(
                "Connections",
                "WebSockets that are open.",
                "short",
                [Query(f"sum ({metric('connections', protocol='websocket')})")],
            ),
            Number("Processes", "That answer.", "short", [Query(f"count ({metric('layer_epoch')})")]),
            Number(
                "Shards out of reach",
                "Of at least one process.",
                "short",
                [Query(f"sum (min by (shard) ({metric('layer_shard_up')}) == bool 0)")],
            ),
            Number(
                "Lost in the last hour",
                "Messages that are missing, or may be, by what readers and senders have found.",
                "short",
                [Query(f"sum (increase({metric('layer_dropped_total', reason='~lost|unconfirmed')}[1h]))")],
            ),
        ],
        "Flow": [_MESSAGES, _DELIVERY, _DROPPED],
        "Health": [
            _SHARDS_UP,
            Lines(
                "Memory, by process",
                "What each process holds.",
                "bytes",
                [Query(f"process_resident_memory_bytes{{{PLACE}}}", "{{instance}}")],
            ),
            Lines(
                "CPU, by process",
                "Cores that each process uses; one event loop uses one at most.",
                "short",
                [Query(f"rate(process_cpu_seconds_total{{{PLACE}}}[{RATE}])", "{{instance}}")],
            ),
        ],
        "Telemetry": [
            Lines(
                "Exports that failed, by signal and process",
                "What a collector did not take over OTLP. Messages are not touched by it.",
                "ops",
                [Query(rate("exports_failed_total", "signal, instance"), "{{signal}} {{instance}}")],
            ),
            Lines(
                "Spans dropped, by reason and process",
                "Traces that are not whole: the queue was full, or the collector did not take a batch.",
                "ops",
                [Query(rate("spans_dropped_total", "reason, instance"), "{{reason}} {{instance}}")],
            ),
            Lines(
                "Log lines left out",
                "Lines that said what others had just said.",
                "ops",
                [Query(rate("log_lines_suppressed_total"), "lines")],
            ),
        ],
        "Secrets": [
            Lines(
                "Secrets read anew, by result",
                "Files with secrets that changed in the last ten minutes: used, or refused, of which the log says why.",
                "short",
                [Query(f"sum by (result) (increase({metric('secret_changes_total')}[10m]))", "{{result}}")],
            ),
            Lines(
                "Keys that only decrypt yet",
                "Processes whose newest encryption key is not used to encrypt yet.",
                "short",
                [Query(f"sum ({metric('layer_key_settling')})", "processes")],
            ),
        ],
    },
)

CONNECTIONS = Page(
    "realtime-gateway-connections",
    "Connections",
    "Who comes, who is refused, who goes and why.",
    "realtime_gateway_connections",
    {
        "Connections": [
            Lines(
                "Connections, by process",
                "WebSockets that are open.",
                "short",
                [Query(metric("connections", protocol="websocket"), "{{instance}}")],
            ),
            Lines(
                "Handshakes, by result",
                "How WebSocket handshakes end.",
                "ops",
                [Query(rate("handshakes_total", "result"), "{{result}}")],
            ),
            Lines(
                "Connections closed, by reason",
                "Why open WebSockets end.",
                "ops",
                [Query(rate("connections_closed_total", "reason"), "{{reason}}")],
            ),
        ],
        "Refusals": [
            Lines(
                "Denials, by reason",
                "Handshakes that security or auth refuse.",
                "ops",
                [Query(rate("denials_total", "reason"), "{{reason}}")],
            ),
            Lines(
                "Limits met, by limit",
                "Times that a client meets a limit of the server.",
                "ops",
                [Query(rate("limits_met_total", "limit"), "{{limit}}")],
            ),
            Lines(
                "Closed because a user may no longer be connected",
                "Logged out, deactivated, a password changed, …",
                "ops",
                [Query(rate("revocations_total", "reason"), "{{reason}}")],
            ),
            Lines(
                "Limits over all processes, by who answered",
                "`process` is each process counting alone, while a shard does not answer.",
                "ops",
                [Query(rate("layer_limits_total", "by"), "{{by}}")],
            ),
        ],
        "Traffic": [
            _MESSAGES,
            Lines(
                "Bytes of clients",
                "Payload in, frames out.",
                "Bps",
                [Query(rate("received_bytes_total"), "in"), Query(rate("sent_bytes_total"), "out")],
            ),
            Lines(
                "Event loop stood still",
                "Times in ten minutes; the log has the stack of what blocked it.",
                "short",
                [Query(f"increase({metric('loop_blocked_total')}[10m])", "{{instance}}")],
            ),
            Lines(
                "Dispatches for database connections",
                "Handlers that went to a thread to have stale connections of the database closed.",
                "ops",
                [Query(rate("database_hops_total"), "dispatches")],
            ),
        ],
    },
)

CHANNEL_LAYER = Page(
    "realtime-gateway-channel-layer",
    "Channel layer",
    "How messages get from one process to the others, and what waits where.",
    "realtime_gateway_layer_epoch",
    {
        "Messages": [
            Lines(
                "Published, by what for",
                "Messages that a shard acknowledged.",
                "mps",
                [Query(rate("layer_published_total", "kind"), "{{kind}}")],
            ),
            Lines(
                "Delivered, by what for",
                "To members in the receiving processes.",
                "mps",
                [Query(rate("layer_delivered_total", "kind"), "{{kind}}")],
            ),
            Lines(
                "Members, by way",
                "Whether a rendered message goes straight to their sockets or through their mailboxes.",
                "mps",
                [Query(rate("fan_out_members_total", "way"), "{{way}}")],
            ),
        ],
        "How long it takes": [
            latency("Publishing", "Until a shard has acknowledged a message.", "layer_publish_seconds", "kind"),
            _DELIVERY,
            latency("Wait in queues", "Of messages to workers, until one has it.", "layer_queue_wait_seconds"),
            spread("Publishing, in full", "How many messages take how long.", "layer_publish_seconds"),
            spread("From sender to receiver, in full", "How many messages take how long.", "delivery_seconds"),
            spread("Wait in queues, in full", "How many messages wait how long.", "layer_queue_wait_seconds"),
        ],
        "What waits": [
            Lines(
                "What waits",
                "Messages in all processes, by where; docs/observability.md has what each place is.",
                "short",
                [Query(f"sum by (where) ({metric('layer_waiting_messages')})", "{{where}}")],
            ),
            Lines(
                "What waits for shards",
                "Bytes in all processes.",
                "bytes",
                [Query(f"sum by (where) ({metric('layer_waiting_bytes')})", "{{where}}")],
            ),
            Lines(
                "Oldest unsent",
                "Age of the oldest message that no shard has acknowledged.",
                "s",
                [Query(metric("layer_oldest_unsent_seconds"), "{{instance}}")],
            ),
            Lines(
                "Channels, by process",
                "Mailboxes that can be sent to: one for each consumer, and each reply that is waited for.",
                "short",
                [Query(metric("layer_mailboxes"), "{{instance}}")],
            ),
        ],
        "Trouble": [
            _DROPPED,
            Lines(
                "Sends that failed, by reason",
                "Calls of the layer that raised: the channel was full, its shard refused, or it could not be reached.",
                "ops",
                [Query(rate("layer_refused_total", "reason"), "{{reason}}")],
            ),
            Lines(
                "Recognised as seen before",
                "What came twice by a failover or a move, and was dropped.",
                "mps",
                [Query(rate("layer_duplicates_total"), "duplicates")],
            ),
            Lines(
                "Channels that nobody received from",
                "Dropped with their memberships: a consumer that hangs or was never ended.",
                "ops",
                [Query(rate("layer_idle_channels_total"), "channels")],
            ),
            Lines(
                "Messages that could not be rendered",
                "A @fanout handler raised, and nobody got its message; the log has the traceback.",
                "ops",
                [Query(rate("fan_out_errors_total"), "errors")],
            ),
        ],
    },
)

REDIS = Page(
    "realtime-gateway-redis",
    "Redis",
    "The shards, as the gateway's processes see them.",
    "realtime_gateway_layer_shard_up",
    {
        "Reach": [
            _SHARDS_UP,
            Lines(
                "Failovers, by shard",
                "Times in ten minutes that a process found another server in a shard's place.",
                "short",
                [Query(f"sum by (shard) (increase({metric('layer_failovers_total')}[10m]))", "{{shard}}")],
            ),
            Lines(
                "Connections made again",
                "Times in ten minutes, all processes and shards.",
                "short",
                [Query(f"sum (increase({metric('layer_reconnects_total')}[10m]))", "connections")],
            ),
            Lines(
                "Connections that failed, by why",
                "Times in ten minutes, all processes and shards.",
                "short",
                [Query(f"sum by (reason) (increase({metric('layer_connection_failures_total')}[10m]))", "{{reason}}")],
            ),
        ],
        "What an outage costs": [
            Lines(
                "Sent again",
                "Messages that a new server might lack.",
                "mps",
                [Query(rate("layer_resent_total"), "messages")],
            ),
            Lines(
                "Read back",
                "Messages from a shard's history, since they were not pushed here.",
                "mps",
                [Query(rate("layer_replayed_total"), "messages")],
            ),
            Lines(
                "Kept for a failover",
                "Acknowledged messages that senders still hold.",
                "bytes",
                [Query(metric("layer_waiting_bytes", where="kept"), "{{instance}}")],
            ),
        ],
        "Clocks": [
            Lines(
                "Clock ahead of processes",
                "By how much a shard's clock is ahead, estimated.",
                "s",
                [Query(f"avg by (shard) ({metric('layer_clock_offset_seconds')})", "{{shard}}")],
            ),
            Lines(
                "Error of the clock's estimate",
                "Half of a heartbeat's round trip, the worst of all processes.",
                "s",
                [Query(f"max by (shard) ({metric('layer_clock_error_seconds')})", "{{shard}}")],
            ),
        ],
    },
)

ROLL = Page(
    "realtime-gateway-roll",
    "Roll",
    "A roll of pods, or of the host list from one epoch to the next.",
    "realtime_gateway_layer_epoch",
    {
        "Host list": [
            Lines(
                "Epochs, by process",
                "In use, and the one to which every move is finished.",
                "short",
                [
                    Query(metric("layer_epoch"), "{{instance}} in use"),
                    Query(metric("layer_epoch_settled"), "{{instance}} finished"),
                ],
            ),
            Lines(
                "Groups, by state",
                "Those whose messages flow, and those that are moved or read back at this moment.",
                "short",
                [Query(f"sum by (state) ({metric('layer_groups')})", "{{state}}")],
            ),
            Lines(
                "Read back and sent again",
                "What a move reads on earlier owners, and sends to the new ones.",
                "mps",
                [
                    Query(rate("layer_replayed_total"), "read back"),
                    Query(rate("layer_resent_total"), "sent again"),
                ],
            ),
        ],
        "Pods": [
            Lines(
                "Connections, by process",
                "They leave a process that drains, evenly, and come to the others.",
                "short",
                [Query(metric("connections", protocol="websocket"), "{{instance}}")],
            ),
            Lines(
                "Connections closed, by reason",
                "`restarting` is a drain.",
                "ops",
                [Query(rate("connections_closed_total", "reason"), "{{reason}}")],
            ),
            Lines(
                "Handshakes, by result",
                "Clients that come back.",
                "ops",
                [Query(rate("handshakes_total", "result"), "{{result}}")],
            ),
        ],
    },
)

# Of one resource, as the operator writes them for it.
PAGES_OF_A_RESOURCE = (OVERVIEW, CONNECTIONS, CHANNEL_LAYER, REDIS, ROLL)
PAGES = (*PAGES_OF_A_RESOURCE, OPERATOR)
