"""Pure. The messages that one turn of the event loop has for the same members, joined once for all who get the same."""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from realtime_gateway.fanout.rendering import Body, Outcome, Outcomes


class Outbox(Protocol):
    """The way to one socket, which the server puts into a WebSocket's scope as ``realtime_gateway.outbox``."""

    @property
    def encoding(self) -> Hashable:
        """Outboxes with equal encodings take the same bytes; None until that is settled, before the socket is open."""
        ...

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        """Return a message as whole frames, for every outbox of the same encoding."""
        ...

    def write(self, frames: bytes) -> bool:
        """Write whole frames now, in order behind all that was written before.

        False, and nothing is written, unless the socket is open, nothing waits to be written to it, and its transport
        is one that may be written to directly. What the socket does not take at once waits in the outbox.
        """
        ...

    @staticmethod
    def write_all(outboxes: Sequence[Any], frames: bytes) -> list[int]:
        """Write the same frames to several of one class; return the places of those that have refused."""
        return [place for place, outbox in enumerate(outboxes) if not outbox.write(frames)]


class Kind:
    """Members that take the same bytes: one consumer class, one encoding."""

    __slots__ = ("consumer", "encoding")

    def __init__(self, consumer: type, encoding: Hashable = None) -> None:
        self.consumer = consumer
        self.encoding = encoding


class Member:
    """One consumer with a channel.

    Attributes:
        channel: its name.
        kind: shared by all members that take the same bytes; without an encoding before the first of them.
        outbox: the way to its socket; None where everything goes through its mailbox.
        unhandled: messages that it has taken, from its client or from its mailbox, and not handled to the end.
        batch: what the present turn has for it.
        waiting: what is to be written to its socket when its handlers are done.
    """

    __slots__ = ("batch", "channel", "kind", "outbox", "unhandled", "waiting")

    def __init__(self, channel: str, kind: Kind, outbox: Outbox | None) -> None:
        self.channel = channel
        self.kind = kind
        self.outbox = outbox
        self.unhandled = 0
        self.batch: Batch | None = None
        self.waiting: list[Entry] = []

    def count(self, messages: int) -> None:
        """Note that so many more, or fewer, are taken and not handled."""
        self.unhandled += messages


class Offer(Protocol):
    """One message of one group that the layer has for some local channels. All of it counts what it does.

    Attributes:
        group: names the group in this process; None for a message to a single channel.
        body: the message.
    """

    group: str | None
    body: Body

    @property
    def filled(self) -> Container[str]:
        """The channels in whose mailboxes something waits."""
        ...

    def put(self, channels: list[str], body: Body) -> None:
        """Put a message into mailboxes."""
        ...

    def delivered(self, members: int) -> None:
        """Say how many got it without their mailboxes."""
        ...

    def refused(self, members: int) -> None:
        """Say how many do not get it, because too much waits."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One message in a batch, rendered for every class of its members."""

    offer: Offer
    outcomes: Outcomes


@dataclass(frozen=True, slots=True)
class Joined:
    """What one kind of members gets.

    Attributes:
        frames: of every message, joined.
        messages: how many there are.
        excluded: the channels that do not get all of them.
    """

    frames: bytes
    messages: int
    excluded: frozenset[str]


class Batch:
    """Messages for the same members, oldest first.

    Attributes:
        group: whose they are.
        size_bytes: of the contents, for each class once.
    """

    __slots__ = ("entries", "group", "members", "size_bytes")

    def __init__(self, group: str, members: list[Member]) -> None:
        self.group = group
        self.members = members
        self.entries: list[Entry] = []
        self.size_bytes = 0

    def add(self, entry: Entry) -> None:
        """Add the newest."""
        self.entries.append(entry)
        self.size_bytes += sum(len(outcome.payload) for outcome in entry.outcomes.values())

    def joined(self, kind: Kind, outbox: Outbox) -> Joined:
        """Return what members of one kind get, encoded as this outbox, one of theirs, does it."""
        outcomes = [entry.outcomes[kind.consumer] for entry in self.entries]
        excluded = frozenset(outcome.excluded for outcome in outcomes if outcome.excluded is not None)
        return _join(outcomes, outbox, excluded)

    def joined_for(self, member: Member, outbox: Outbox) -> Joined:
        """Return what a member gets that does not get all."""
        outcomes = [entry.outcomes[member.kind.consumer] for entry in self.entries]
        own = [outcome for outcome in outcomes if outcome.excluded != member.channel]
        return _join(own, outbox, frozenset())


def _join(outcomes: list[Outcome], outbox: Outbox, excluded: frozenset[str]) -> Joined:
    frames = [_frame(outcome, outbox) for outcome in outcomes if outcome.content is not None]
    return Joined(frames[0] if len(frames) == 1 else b"".join(frames), len(frames), excluded)


def _frame(outcome: Outcome, outbox: Outbox) -> bytes:
    frame = outcome.frames.get(outbox.encoding)
    if frame is None:
        frame = outcome.frames[outbox.encoding] = outbox.encode(outcome.payload, outcome.is_binary)
    return frame
