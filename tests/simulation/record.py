"""What was sent, who was a member when, and what came of it: kept by the world, which sees everything."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from realtime_gateway.layer.envelope import EnvelopeInvalid, parse
from realtime_gateway.layer.machine import actions
from realtime_gateway.layer.machine.actions import Verdict
from tests.simulation.clock import Clock

if TYPE_CHECKING:
    from tests.simulation.process import Process


@dataclass(slots=True)
class Message:
    """One message; its number is its body.

    Attributes:
        destination: ``g:`` and a group, ``c:`` and a channel of one process, or ``q:`` and a normal channel.
        ended_at: when the caller's request ended, and ``verdict`` how; None until it has.
    """

    number: int
    sender: str
    destination: str
    sent_at: float
    acknowledged_at: float | None = None
    ended_at: float | None = None
    verdict: Verdict | None = None


@dataclass(slots=True)
class Membership:
    """One channel's time in a group; ``joined_at`` is when group_add returned, None when it did not."""

    process: str
    channel: str
    group: str
    asked_at: float
    joined_at: float | None = None
    left_at: float | None = None


@dataclass(slots=True)
class LossReport:
    """A process has said that messages of destinations may be missing in it."""

    at: float
    process: str
    destinations: tuple[str, ...]
    reason: str


class Record:
    """The witness of a run.

    Attributes:
        received: channel → (when, message) as delivered.
        taken: queue → (when, message, process) as handed out.
        gone_from_servers: message → when each copy of it was lost with a server.
        refused: (channel, message) that a full or expired mailbox did not take.
        counts: how often what happened.
    """

    def __init__(self, clock: Clock, expiry_seconds: float) -> None:
        self._clock = clock
        self._expiry_seconds = expiry_seconds
        self.messages: list[Message] = []
        self.memberships: list[Membership] = []
        self.received: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)
        self.taken_from: defaultdict[str, list[tuple[float, int, str]]] = defaultdict(list)
        self.gone_from_servers: defaultdict[int, list[float]] = defaultdict(list)
        self.refused: set[tuple[str, int]] = set()
        self.loss_reports: list[LossReport] = []
        self.counts: Counter[str] = Counter()
        self.room: dict[str, int] = {}  # channel → how many more messages it takes; not listed: any number

    def new_message(self, sender: str, destination: str) -> Message:
        """Number the next message."""
        message = Message(len(self.messages), sender, destination, self._clock.now)
        self.messages.append(message)
        self._clock.note(sender, "SEND", message.number, destination)
        return message

    def settled(self, message: Message, settle: actions.Settle) -> None:
        """A message's request has ended."""
        message.verdict, message.ended_at = settle.verdict, self._clock.now
        self._clock.note(message.sender, "SETTLED", message.number, settle.verdict.value, settle.detail)
        self.counts[f"sends {settle.verdict.value}"] += 1
        if settle.verdict is Verdict.DONE:
            message.acknowledged_at = self._clock.now

    def delivered(self, process: Process, channel: str, body: bytes, sent_at: float) -> bool:
        """Take a delivery; False when the channel takes no more."""
        number = int(body)
        if sent_at + self._expiry_seconds <= self._clock.now:
            self.refused.add((channel, number))
            self.counts["expired"] += 1
            return True
        room = self.room.get(channel)
        if room is not None:
            if not room:
                self.refused.add((channel, number))
                self.counts["over capacity"] += 1
                return False
            self.room[channel] = room - 1
        self.counts["deliveries"] += 1
        self._clock.note(process.id, "DELIVERED", number, channel)
        self.received[channel].append((self._clock.now, number))
        return True

    def taken(self, process: Process, channel: str, body: bytes) -> None:
        """Take what a queue's receiver was handed."""
        self.counts["taken from queues"] += 1
        self._clock.note(process.id, "TAKEN", int(body), channel)
        self.taken_from[channel].append((self._clock.now, int(body), process.id))

    def reported(self, process: Process, action: Any) -> None:
        """Count what a machine tells."""
        if isinstance(action, actions.Lost):
            report = LossReport(self._clock.now, process.id, action.destinations, action.reason)
            self.loss_reports.append(report)
            self._clock.note(process.id, "LOST", *action.destinations, action.reason)
        elif isinstance(action, actions.Dropped):
            self.counts[f"dropped: {action.reason}"] += action.count
            self._clock.note(process.id, "dropped", action.reason, action.count)
        elif isinstance(action, actions.Repeated):
            self.counts["repeated entries"] += action.count
        elif isinstance(action, actions.Adopted):
            self._clock.note(process.id, "ADOPTED", action.hosts.epoch)

    def lost_with_server(self, gone: dict[bytes, set[bytes]]) -> None:
        """Note what a server had that its successor has not."""
        for bodies in gone.values():
            for raw in sorted(bodies):
                try:
                    body = parse(raw).body
                except EnvelopeInvalid:
                    continue
                if body.isdigit():
                    self.gone_from_servers[int(body)].append(self._clock.now)
                    self.counts["entries lost with a server"] += 1
                    self._clock.note("world", "gone with a server", int(body))
