"""What the machine wants done, in the order of the list it returns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

from realtime_gateway.hosts import HostList


class Way(NamedTuple):
    """How a message that is traced came here; nobody asks it of any other.

    Attributes:
        sender_seconds: from its sender's first try until it was sent.
        redis_seconds: in Redis, as well as clocks tell.
        error_seconds: by how much that may be wrong; inf while the server's clock is unknown.
        replayed: whether it was read from what is kept, rather than pushed.
    """

    sender_seconds: float
    redis_seconds: float
    error_seconds: float
    replayed: bool


class RoundTrip(NamedTuple):
    """The script call that stored a message which is traced, by the monotonic clock.

    Attributes:
        messages: how many the call had.
        tries: how many calls the message was in, with those that nobody answered.
    """

    sent_at: float
    answered_at: float
    messages: int
    tries: int


class Call(NamedTuple):
    """Run a script on a shard; its answer comes back as Replied with the same purpose."""

    shard: str
    script: str
    keys: Sequence[str]
    arguments: Sequence[str | bytes | int]
    purpose: Any


class Subscribe(NamedTuple):
    """Subscribe to destinations on a shard."""

    shard: str
    destinations: tuple[str, ...]


class Unsubscribe(NamedTuple):
    """Give subscriptions up."""

    shard: str
    destinations: tuple[str, ...]


class Deliver(NamedTuple):
    """Put a message into the mailboxes of local channels.

    Attributes:
        channels: who gets it; may be the machine's own collection, to be read at once and not kept.
        sent_at: when the sender tried first, by this process's clock; for what was pushed, without its way here.
        published_at: the same with its way from the shard, as well as clocks tell: for figures only.
        way: how it came, if it is traced.
    """

    channels: Collection[str]
    kind: int
    destination: str
    trace: bytes
    body: bytes
    sent_at: float
    published_at: float
    way: Way | None = None


class HandOver(NamedTuple):
    """Give a message from a queue to one receiver: it is Consumed or Unwanted in the end.

    Attributes:
        number: names the message.
        way: how it came, if it is traced.
    """

    channel: str
    number: int
    trace: bytes
    body: bytes
    expires_at: float
    way: Way | None = None


class Verdict(Enum):
    """How a caller's request ended."""

    DONE = "done"
    FULL = "full"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    OWNER_GONE = "owner gone"


class Settle(NamedTuple):
    """Tell a caller how its request ended; ``detail`` is the shard's error or name.

    Attributes:
        round_trip: of what was stored and is traced.
    """

    ticket: int
    verdict: Verdict
    shard: str = ""
    detail: str = ""
    round_trip: RoundTrip | None = None


@dataclass(frozen=True, slots=True)
class UseShards:
    """Keep links to exactly these shards."""

    hosts: HostList


@dataclass(frozen=True, slots=True)
class Redial:
    """Give a link up and look for the shard again: its server was demoted."""

    shard: str
    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Messages that nobody here will get, by reason: a counter's label."""

    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Repeated:
    """Entries that had been seen before.

    Attributes:
        traced: the one that is traced, with no channels that it is for.
    """

    count: int = 1
    traced: Deliver | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """It is certain, or cannot be ruled out, that messages of these destinations are missing here."""

    destinations: tuple[str, ...]
    reason: str


class Sent(Protocol):
    """A message as its sender keeps it.

    Attributes:
        kind: an envelope.Kind.
        trace: the bytes that carry its context, or none.
        first_at: when it was handed over to be sent.
    """

    kind: int
    trace: bytes
    first_at: float


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A shard has stored messages.

    Attributes:
        first: those that had not been stored anywhere before; to be read at once and not kept.
        again: how many had been.
    """

    first: Sequence[Sent]
    again: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """Entries that were read from a stream, since they had not been pushed here."""

    count: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A shard that was in use is out of reach."""

    shard: str
    destinations: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """A shard is back, and everything that was missed has been read."""

    shard: str
    destinations: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """A local channel joins or leaves a group on another process's request: check it, act, and answer."""

    join: bool
    group: str
    channel: str
    asker: str
    number: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A newer host list is in use."""

    hosts: HostList


@dataclass(frozen=True, slots=True)
class HostsRefused:
    """A host list or document is not adopted."""

    reason: str
