"""What may happen to the machine. Times are seconds of one monotonic clock; the driver adds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from realtime_gateway.hosts import HostList


class Publish(NamedTuple):
    """Somebody sends a message.

    Attributes:
        ticket: names the caller; settled once.
        kind: an envelope.Kind.
        channel: the specific channel, for one; else "".
        capacity: of the queue, for a queue.
    """

    ticket: int
    destination: str
    kind: int
    channel: str
    trace: bytes
    body: bytes
    capacity: int = 0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The loop's turn is over: what was sent in it may go out together."""


@dataclass(frozen=True, slots=True)
class LinkUp:
    """Both connections to a shard are open, to one server.

    Attributes:
        run_id: tells one run of one server as a primary from every other.
    """

    shard: str
    run_id: str


@dataclass(frozen=True, slots=True)
class LinkDown:
    """The connections to a shard are gone; nothing that was in flight will be answered."""

    shard: str
    reason: str


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """A shard answers, but does not let us in."""

    shard: str
    reason: str


class Pushed(NamedTuple):
    """A message of a subscription."""

    shard: str
    destination: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription is confirmed."""

    shard: str
    destination: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error that a shard answered instead of a result."""

    code: str
    text: str


class Replied(NamedTuple):
    """The answer to a Call; ``purpose`` is the call's own."""

    shard: str
    purpose: Any
    result: Any


@dataclass(frozen=True, slots=True)
class Join:
    """Add a channel to a group; ``own`` when it is this process's."""

    ticket: int
    group: str
    channel: str
    own: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Take a channel out of a group."""

    ticket: int
    group: str
    channel: str
    own: bool


@dataclass(frozen=True, slots=True)
class Gone:
    """A local channel is no more: it leaves every group."""

    channel: str


@dataclass(frozen=True, slots=True)
class Listen:
    """This process has specific channels: follow its inbox, from the first entry that it ever gets."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number of receivers that wait on a normal channel has changed."""

    channel: str
    receivers: int


@dataclass(frozen=True, slots=True)
class Consumed:
    """A receiver has the message of a HandOver with this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Unwanted:
    """The receiver that the message of a HandOver was taken for has gone."""

    number: int


@dataclass(frozen=True, slots=True)
class Learned:
    """A host list was found outside the shards, in a file."""

    hosts: HostList
    where: str = "the file"


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """Host lists on shards are to be signed with other keys from now on."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """All queues, members and mailboxes were cleared, by whichever process."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed; a few come each second."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The driver has acted on an AnsweredRequest; ``done`` is False when there is no such channel."""

    asker: str
    number: int
    done: bool


@dataclass(frozen=True, slots=True)
class Described:
    """What this process says of itself from now on, as JSON."""

    text: str


@dataclass(frozen=True, slots=True)
class Full:
    """A local channel's mailbox is full, so that other senders are to be refused for a moment, or no longer is."""

    channel: str
    full: bool
