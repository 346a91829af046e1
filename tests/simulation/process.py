"""One process: what the driver does around the machine, with simulated links instead of sockets."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.process import ProcessMachine
from tests.simulation.clock import Clock
from tests.simulation.network import Link, Network
from tests.simulation.values import RedisError

TICK_SECONDS = 0.5
_TURN_SECONDS = 0.01
_CLOCK_RATES = (1.0, 1.0, 1.0, 1.001, 0.999)
_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.05, 2.0
Settled = Callable[[actions.Settle], None]


class Witness(Protocol):
    """Whoever keeps the record of what came of everything."""

    def delivered(self, process: Process, channel: str, body: bytes, sent_at: float) -> bool:
        """A message is there for a local channel; False when the channel takes no more."""
        ...

    def taken(self, process: Process, channel: str, body: bytes) -> None:
        """A message of a queue was handed to a receiver."""
        ...

    def reported(self, process: Process, action: Any) -> None:
        """The machine has told something that is counted."""
        ...


@dataclass
class Receiver:
    """Somebody who waits on a normal channel."""

    ready: bool = True
    stopped: bool = False


@dataclass
class Parts:
    """What a process is put together from."""

    clock: Clock
    network: Network
    witness: Witness
    limits: Limits


class Process:
    """A process from its start to its end.

    Args:
        parts: the world around it.
        name: what it is called in the log, and where faults find it: the same after a restart.
        incarnation: which start of it this is.
        hosts: the list that it starts with.
    """

    def __init__(self, parts: Parts, name: str, incarnation: int, hosts: HostList) -> None:
        self.parts = parts
        self.clock = parts.clock
        self.name = name
        self.id = f"{name}{incarnation}"
        self.alive = True
        self.raised: list[str] = []
        self.leaves_with_connections = False  # the next receiver that gets something is cancelled as they break
        self.in_vain: list[bytes] = []  # what it had taken from queues when it crashed, and nobody had
        # Monotonic clocks of two processes have nothing to do with one another.
        self._clock_offset = self.clock.random.random() * 1000
        self._clock_rate = self.clock.random.choice(_CLOCK_RATES)
        identity = Identity(self.id, self.clock.random.getrandbits(62), names.Names("p"), {})
        self.sender = identity.sender
        self.identity = identity
        self.machine = ProcessMachine(identity, parts.limits, hosts, f"word-{self.id}")
        self.receivers: dict[str, Receiver] = {}
        self.links: dict[str, Link] = {}
        self._dialling: dict[str, Link] = {}
        self._waits: dict[str, float] = {}
        self._wanted: tuple[str, ...] = ()
        self._tickets: dict[int, Settled] = {}
        self._last_ticket = 0
        self._turn_open = False
        self._performers: dict[type, Callable[[Any], None]] = {
            actions.Call: self._call,
            actions.Deliver: self._deliver,
            actions.Settle: self._settle,
            actions.Subscribe: self._subscribe,
            actions.Unsubscribe: self._unsubscribe,
            actions.HandOver: self._hand_over,
            actions.UseShards: lambda action: self._use(action.hosts),
            actions.Redial: self._redial,
            actions.AnsweredRequest: self._requested,
        }
        self.submit(events.Described(self.description()))
        self._use(self.machine.epochs.shards_in_use())
        self.clock.after(self.clock.random.random() * TICK_SECONDS, self._tick)

    # Time and turns

    def now(self) -> float:
        """This process's monotonic clock."""
        return self.clock.now * self._clock_rate + self._clock_offset

    def virtual(self, moment: float) -> float:
        """A moment of this process's clock, in virtual time."""
        return (moment - self._clock_offset) / self._clock_rate

    def submit(self, event: Any) -> None:
        """Tell the machine, and do what it wants done."""
        if not self.alive:
            return
        try:
            todo = self.machine.handle(event, self.now())
        except Exception as error:
            self.raised.append(f"{type(error).__name__}: {error} on {type(event).__name__}")
            self.clock.note(self.id, "RAISED", self.raised[-1])
            raise
        for action in todo:
            performer = self._performers.get(type(action))
            if performer is not None:
                performer(action)
            else:
                self.parts.witness.reported(self, action)

    def end_turn_soon(self) -> None:
        """Let what is sent at this moment go out together."""
        if not self._turn_open:
            self._turn_open = True
            self.clock.after(0, self._end_turn)

    def _end_turn(self) -> None:
        self._turn_open = False
        self.submit(events.TurnEnded())

    def _tick(self) -> None:
        if self.alive:
            self.submit(events.Tick())
            if self.machine.reported_epoch != self._described:
                self.submit(events.Described(self.description()))
            self.clock.after(TICK_SECONDS, self._tick)

    def description(self) -> str:
        """What it says of itself."""
        self._described = self.machine.reported_epoch
        return json.dumps({"id": self.id, "epoch": self._described})

    def crash(self) -> None:
        """End without a word."""
        self.alive = False
        self.in_vain = self.machine.queues.taken.bodies()
        self.clock.note(self.id, "crashed")
        for link in (*self.links.values(), *self._dialling.values()):
            link.close()
        self.links.clear()
        self._dialling.clear()

    # Requests

    def ask(self, make_event: Callable[[int], Any], settled: Settled) -> None:
        """Submit a request under a new ticket."""
        self._last_ticket += 1
        ticket = self._last_ticket
        self._tickets[ticket] = settled
        self.submit(make_event(ticket))
        self.end_turn_soon()

    @property
    def unsettled(self) -> int:
        """How many requests have no answer."""
        return len(self._tickets)

    def _settle(self, action: actions.Settle) -> None:
        settled = self._tickets.pop(action.ticket, None)
        if settled is not None:
            settled(action)

    # Links

    def _use(self, hosts: HostList) -> None:
        wanted = tuple(shard.name for shard in hosts.shards)
        gone = [name for name in self._wanted if name not in wanted]
        new = [name for name in wanted if name not in self._wanted]
        self._wanted = wanted
        for name in gone:
            dialling = self._dialling.pop(name, None)
            if dialling is not None:
                dialling.close()
            link = self.links.pop(name, None)
            if link is not None:
                link.close()
                self.clock.after(0, self._down, name, "the link was given up")
        for name in new:
            self._waits[name] = _FIRST_WAIT_SECONDS
            self._dial(name)

    def _dial(self, shard: str) -> None:
        if not self.alive or shard not in self._wanted or shard in self._dialling or shard in self.links:
            return
        link = self._dialling[shard] = Link(
            self.parts.network, self.name, partial(self._message, shard), partial(self._subscribed, shard),
            lambda reason: self._lost(shard, link, reason),
        )  # fmt: skip
        place = self.parts.network.shards[shard]
        link.dial(place, lambda: self._up(shard, link), lambda reason: self._lost(shard, link, reason))

    def _up(self, shard: str, link: Link) -> None:
        del self._dialling[shard]
        self.links[shard] = link
        self._waits[shard] = _FIRST_WAIT_SECONDS
        self.clock.note(self.id, "up", shard, link.identity)
        link.subscribe((self.identity.topic(shard, names.CONTROL),))
        self.submit(events.LinkUp(shard, link.identity))
        self.end_turn_soon()

    def _lost(self, shard: str, link: Link, reason: str) -> None:
        if self.links.get(shard) is link:
            del self.links[shard]
        elif self._dialling.get(shard) is link:
            del self._dialling[shard]
        else:
            return
        self._down(shard, reason)
        wait = self._waits[shard]
        self._waits[shard] = min(wait * 2, _LONGEST_WAIT_SECONDS)
        self.clock.after(wait * self.clock.random.uniform(0.5, 1.0), self._dial, shard)

    def _down(self, shard: str, reason: str) -> None:
        self.clock.note(self.id, "down", shard, reason)
        self.submit(events.LinkDown(shard, reason))

    def _redial(self, action: actions.Redial) -> None:
        link = self.links.get(action.shard)
        if link is not None:
            self.clock.after(0, self._close, action.shard, link, action.reason)

    def _close(self, shard: str, link: Link, reason: str) -> None:
        if not link.closed:
            link.close()
            self._lost(shard, link, reason)

    def cut_connections(self, shard: str) -> None:
        """Break what connects this process to a shard."""
        link = self.links.get(shard)
        if link is not None:
            self._close(shard, link, "connection reset by peer")

    def _call(self, action: actions.Call) -> None:
        link = self.links.get(action.shard)
        if link is None:
            return
        shard, purpose = action.shard, action.purpose
        if self.clock.keeps_log:
            what = (action.keys[-1], *(action.arguments if action.script == "read" else ()))
            self.clock.note(self.id, f"{action.script}>", shard, *what)

        def replied(result: Any) -> None:
            result = _refusals(result)
            if self.clock.keeps_log:
                self.clock.note(self.id, f"<{action.script}", shard, _brief(result))
            self.submit(events.Replied(shard, purpose, result))

        link.call(action.script, tuple(action.keys), tuple(action.arguments), replied)

    def _subscribe(self, action: actions.Subscribe) -> None:
        link = self.links.get(action.shard)
        if link is not None:
            self.clock.note(self.id, "subscribe>", action.shard, *action.destinations)
            link.subscribe([self.identity.topic(action.shard, one) for one in action.destinations])

    def _unsubscribe(self, action: actions.Unsubscribe) -> None:
        link = self.links.get(action.shard)
        if link is not None:
            self.clock.note(self.id, "unsubscribe>", action.shard, *action.destinations)
            link.unsubscribe([self.identity.topic(action.shard, one) for one in action.destinations])

    def _message(self, shard: str, topic: bytes, payload: bytes) -> None:
        destination = topic.decode()[len(self.identity.topic(shard, "")) :]
        self.clock.note(self.id, "pushed", shard, destination, payload.partition(b" ")[0])
        self.submit(events.Pushed(shard, destination, payload))

    def _subscribed(self, shard: str, topic: str) -> None:
        self.submit(events.Subscribed(shard, topic[len(self.identity.topic(shard, "")) :]))

    # Messages

    def _deliver(self, action: actions.Deliver) -> None:
        channels: Collection[str] = action.channels
        for channel in list(channels):
            fits = self.parts.witness.delivered(self, channel, action.body, self.virtual(action.sent_at))
            if not fits and action.kind == Kind.CHANNEL:
                self.submit(events.Full(channel, True))

    def _hand_over(self, action: actions.HandOver) -> None:
        receiver = self.receivers.get(action.channel)
        if receiver is None or not receiver.ready:
            self.submit(events.Unwanted(action.number))
            return
        receiver.ready = False
        self.submit(events.Wanted(action.channel, 0))
        if self.leaves_with_connections:
            self._leave_with_connections(action.channel, receiver)
        self.clock.after(self.clock.random.random() * _TURN_SECONDS, self._consume, action, receiver)

    def _leave_with_connections(self, channel: str, receiver: Receiver) -> None:
        self.leaves_with_connections = False
        receiver.stopped = True
        for shard in list(self.links):
            self.cut_connections(shard)
        self.clock.after(self.clock.random.uniform(0.5, 3), self.go_on_receiving, channel)

    def _consume(self, action: actions.HandOver, receiver: Receiver) -> None:
        """The receiver runs, if it has not been cancelled in the same moment."""
        if receiver.stopped:
            self.submit(events.Unwanted(action.number))
        elif self.alive:
            self.parts.witness.taken(self, action.channel, action.body)
            self.submit(events.Consumed(action.number))
            self.clock.after(self.clock.random.random() * 0.1, self.receive, action.channel)

    def receive(self, channel: str) -> None:
        """Wait on a normal channel for one message."""
        receiver = self.receivers.setdefault(channel, Receiver())
        if self.alive and not receiver.stopped:
            receiver.ready = True
            self.submit(events.Wanted(channel, 1))

    def go_on_receiving(self, channel: str) -> None:
        """Wait again, after a pause."""
        receiver = self.receivers.get(channel)
        if receiver is not None:
            receiver.stopped = False
            self.receive(channel)

    def stop_receiving(self, channel: str) -> None:
        """Cancel a receiver."""
        receiver = self.receivers.get(channel)
        if receiver is not None and not receiver.stopped:
            receiver.stopped, receiver.ready = True, False
            self.submit(events.Wanted(channel, 0))

    def _requested(self, action: actions.AnsweredRequest) -> None:
        def answer(settled: actions.Settle) -> None:
            done = settled.verdict is actions.Verdict.DONE
            self.submit(events.Answer(action.asker, action.number, done))

        if not action.join:
            self.submit(events.Leave(-1, action.group, action.channel, own=True))
            self.submit(events.Answer(action.asker, action.number, True))
        else:
            self.ask(lambda ticket: events.Join(ticket, action.group, action.channel, own=True), answer)


def _refusals(result: Any) -> Any:
    if isinstance(result, RedisError):
        text = str(result)
        return events.Refusal(text.partition(" ")[0], text)
    if isinstance(result, list):
        return [_refusals(one) if isinstance(one, RedisError) else one for one in result]
    return result


def _brief(result: Any) -> str:
    if isinstance(result, list):
        return f"[{' '.join(map(_brief, result[:6]))}]"
    return ascii(result[:24])[2:-1] if isinstance(result, bytes) else str(result)[:60]
