"""The bounds that the machine works within, and the identity it works under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from realtime_gateway.hosts import Documents
from realtime_gateway.layer.names import Names


@dataclass(frozen=True)
class Limits:
    """Numbers of one layer, each with its unit.

    Attributes:
        expiry_seconds: a message older than this is not delivered.
        group_expiry_seconds: a membership ends this long after group_add.
        send_timeout_seconds: how long a sender waits for a shard.
        history_seconds: what a stream keeps, and for how long a reader may be away without loss.
        history_messages: how many entries a stream keeps at least.
        replay_seconds: acknowledged sends are kept for this long before the last contact with the server.
        replay_bytes: and never more than this for each shard.
        unsent_bytes: what may wait for one shard that is out of reach, refuses or does not answer; above it senders
            fail at once.
        follow_hosts: adopt newer host lists found on the shards.
        capacity_of: how many messages a channel takes.
    """

    expiry_seconds: float = 60
    group_expiry_seconds: float = 86400
    send_timeout_seconds: float = 10
    history_seconds: float = 60
    history_messages: int = 10_000
    replay_seconds: float = 20
    replay_bytes: int = 32 * 1024 * 1024
    unsent_bytes: int = 64 * 1024 * 1024
    follow_hosts: bool = True
    capacity_of: Callable[[str], int] = lambda channel: 100

    @property
    def memory_seconds(self) -> float:
        """How long what was seen of a sender is remembered: nothing older can come back."""
        return self.history_seconds + self.replay_seconds + 10


@dataclass(frozen=True)
class Identity:
    """Who this process is.

    Attributes:
        process: the client prefix, part of its channels' names.
        sender: a random number per process start.
        names: the deployment's names.
        labels: shard name → what stands for the shard in pub/sub names.
        documents: how this deployment's host lists are written on shards.
    """

    process: str
    sender: int
    names: Names
    labels: dict[str, str]
    documents: Documents = field(default_factory=Documents)

    def topic(self, shard: str, destination: str) -> str:
        """The pub/sub channel of a destination on a shard."""
        return self.names.topic(self.labels.get(shard, shard), destination)
