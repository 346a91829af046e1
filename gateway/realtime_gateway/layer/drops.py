"""Every reason for which the layer lets a message go: the label of one counter, and a row of a table in the docs."""

from __future__ import annotations

from realtime_gateway.telemetry import kept, recorder

REASONS = {
    "capacity": "a member's mailbox was full; the newest message is refused",
    "expired": "nobody received it within `expiry`",
    "idle": "its channel was dropped because nobody received from it",
    "forgotten": "its channel was given up with `forget`",
    "no_mailbox": "it was sent to a channel of this process that is no more",
    "undecodable": "no key decrypts it, or the serializer cannot read it; logged",
    "malformed": "what stands in Redis is no entry of this layer",
    "queue_full": "a normal channel in a group had reached its capacity",
    "queue_unreachable": "a normal channel in a group could not be reached within `send_timeout`",
    "replay_bound": "it could not be kept to be sent again after a failover: more than `replay_bytes` were on the way",
    "unconfirmed": "acknowledged, and then not confirmed by a new primary within `history_seconds`; readers are told",
    "lost": "a group, or an inbox, in which messages are missing, counted once for each gap; logged",
    "read_refused": "no message, but a look at a stream that its shard refused; it is made again",
    "carry_refused": "no message, but a step of a move of normal channels that was refused; it is made again",
}

# What goes with a connection that ends, and looks that are made again, is no error of anybody's.
ORDINARY = {"idle", "forgotten", "no_mailbox", "read_refused", "carry_refused"}

# All of them stand on the metrics page from the start: a rate over a counter that appears late misses its first step.
for _reason in REASONS:
    recorder.layer_dropped.add(0, _reason)


def count(reason: str, messages: int = 1) -> None:
    """Count messages that the layer lets go, by one of REASONS."""
    assert reason in REASONS, reason
    recorder.layer_dropped.add(messages, reason)
    if messages and reason not in ORDINARY:
        kept.failure("message dropped", reason, recorder.layer_dropped, reason)
