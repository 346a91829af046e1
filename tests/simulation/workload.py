"""Who joins, leaves, sends and works: at random, all of it written into the record."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.actions import Verdict
from tests.simulation.process import Process
from tests.simulation.record import Membership, Message
from tests.simulation.world import LIMITS, World

GROUPS = ("room", "news", "lobby", "chess", "ops")
QUEUES = ("work", "small-work")
_WORKER = {"work": "a", "small-work": "b"}  # who always works, so that nothing waits until it expires
_SLOW_CAPACITY = 2


class Workload:
    """What users of the layer do.

    Args:
        world: where they do it.
        messages: how many, about.
    """

    def __init__(self, world: World, messages: int) -> None:
        self.world = world
        self._random = world.random
        self._clock = world.clock
        self._record = world.record
        self._channels: dict[str, list[str]] = {}  # process id → its specific channels
        self._numbers = 0
        self._slow: set[str] = set()
        # Who is taken out by another process: the request may arrive at any later time, so it does not join again.
        self._never_again: set[tuple[str, str]] = set()
        self.groups = GROUPS[: self._random.randint(1, len(GROUPS))]
        self._messages = messages
        self._acts: list[tuple[int, Callable[[Process], None]]] = [
            (40, self._send_to_group),
            (12, self._burst),
            (15, self._send_to_channel),
            (12, self._send_to_queue),
            (9, self._join),
            (6, self._leave),
            (5, self._flap),
            (3, self._join_for_another),
            (1, self._leave_for_another),
            (2, self._worker_pauses),
            (2, self._drain_slow),
        ]
        world.born.append(self._begin)

    def plan(self, start: float, end: float, moments: list[float]) -> None:
        """Spread half of it over a time, and the other half about moments at which things go wrong."""
        random = self._random
        for _ in range(self._messages):
            if moments and random.random() < 0.7:
                when = random.choice(moments) + random.uniform(-0.3, 4)
            else:
                when = random.uniform(start, end)
            self._clock.at(when, self._act)

    def _act(self) -> None:
        live = list(self.world.processes.values())
        if live:
            weights, acts = zip(*self._acts, strict=True)
            chosen: Callable[[Process], None] = self._random.choices(acts, weights)[0]
            chosen(self._random.choice(live))

    # Processes and their channels

    def _begin(self, process: Process) -> None:
        self._channels[process.id] = []
        for group in self.groups:
            if self._random.random() < 0.6:
                self._join_new(process, group)
        for queue in QUEUES:
            if process.name == _WORKER[queue] or self._random.random() < 0.2:
                process.receive(queue)

    def _new_channel(self, process: Process) -> str:
        self._numbers += 1
        channel = f"c{self._numbers}.{process.id}!{self._numbers}"
        self._channels[process.id].append(channel)
        process.submit(events.Listen())
        if self._random.random() < 0.03:
            self._slow.add(channel)
            self._record.room[channel] = _SLOW_CAPACITY
        return channel

    def _drain_slow(self, _: Process) -> None:
        for process in self.world.processes.values():
            for channel in self._channels[process.id]:
                if channel in self._slow and not self._record.room[channel]:
                    self._record.room[channel] = _SLOW_CAPACITY
                    process.submit(events.Full(channel, False))

    def _worker_pauses(self, process: Process) -> None:
        queue = self._random.choice(QUEUES)
        receiver = process.receivers.get(queue)
        if receiver is not None and not receiver.stopped:
            process.stop_receiving(queue)
            self._clock.after(self._random.uniform(0.1, 2), process.go_on_receiving, queue)

    # Groups

    def _join_new(self, process: Process, group: str) -> None:
        self._join_channel(process, self._new_channel(process), group)

    def _join(self, process: Process) -> None:
        channels = self._channels[process.id]
        group = self._random.choice(self.groups)
        if channels and self._random.random() < 0.5:
            channel = self._random.choice(channels)
            if self._may_join(channel, group):
                self._join_channel(process, channel, group)
        else:
            self._join_new(process, group)

    def _may_join(self, channel: str, group: str) -> bool:
        if (channel, group) in self._never_again:
            return False
        return not any(
            one.channel == channel and one.group == group and one.left_at is None for one in self._record.memberships
        )

    def _join_channel(self, process: Process, channel: str, group: str) -> None:
        membership = Membership(process.id, channel, group, self._clock.now)
        self._record.memberships.append(membership)
        self._clock.note(process.id, "JOIN", group, channel)
        process.ask(lambda ticket: events.Join(ticket, group, channel, own=True), partial(self._joined, membership))

    def _joined(self, membership: Membership, settled: actions.Settle) -> None:
        self._record.counts[f"joins {settled.verdict.value}"] += 1
        self._clock.note(membership.process, "JOINED", membership.group, membership.channel, settled.verdict.value)
        if settled.verdict is not Verdict.DONE:
            # The caller got an error: it may or may not be a member, and nothing is asked of the layer.
            membership.left_at = membership.left_at or self._clock.now
        elif membership.left_at is None:
            membership.joined_at = self._clock.now

    def _leave(self, process: Process) -> None:
        mine = [
            one for one in self._record.memberships
            if one.process == process.id and one.left_at is None and one.joined_at is not None
        ]  # fmt: skip
        if not mine:
            return
        chosen = self._random.choice(mine)
        chosen.left_at = self._clock.now
        self._clock.note(process.id, "LEAVE", chosen.group, chosen.channel)
        process.submit(events.Leave(-1, chosen.group, chosen.channel, own=True))

    def _flap(self, process: Process) -> None:
        """Leave and come back at once, just after something was sent."""
        mine = [
            one
            for one in self._record.memberships
            if one.process == process.id and one.left_at is None and one.joined_at
        ]
        if mine:
            chosen = self._random.choice(mine)
            self.send_group(self._random.choice(list(self.world.processes.values())), chosen.group)
            self._clock.after(self._random.random() * 0.06, self._leave_and_return, process, chosen)

    def _leave_and_return(self, process: Process, membership: Membership) -> None:
        if membership.left_at is None and process.alive:
            membership.left_at = self._clock.now
            self._clock.note(process.id, "LEAVE", membership.group, membership.channel)
            process.submit(events.Leave(-1, membership.group, membership.channel, own=True))
            if self._may_join(membership.channel, membership.group):
                self._join_channel(process, membership.channel, membership.group)

    def _join_for_another(self, process: Process) -> None:
        owners = [one for one in self.world.processes.values() if one is not process and self._channels[one.id]]
        if not owners:
            return
        owner, group = self._random.choice(owners), self._random.choice(self.groups)
        channel = self._random.choice(self._channels[owner.id])
        if not self._may_join(channel, group):
            return
        membership = Membership(owner.id, channel, group, self._clock.now)
        self._record.memberships.append(membership)
        self._clock.note(process.id, "JOIN FOR", group, channel)
        process.submit(events.Listen())
        process.ask(lambda ticket: events.Join(ticket, group, channel, own=False), partial(self._joined, membership))

    def _leave_for_another(self, process: Process) -> None:
        others = [
            one for one in self._record.memberships
            if one.process != process.id and one.left_at is None and one.joined_at is not None
        ]  # fmt: skip
        if not others:
            return
        chosen = self._random.choice(others)
        chosen.left_at = self._clock.now
        self._never_again.add((chosen.channel, chosen.group))
        self._clock.note(process.id, "LEAVE FOR", chosen.group, chosen.channel)
        process.submit(events.Listen())
        process.ask(lambda ticket: events.Leave(ticket, chosen.group, chosen.channel, own=False), lambda settled: None)

    # Sending

    def _send_to_group(self, process: Process) -> None:
        self.send_group(process, self._random.choice(self.groups))

    def _burst(self, process: Process) -> None:
        group = self._random.choice(self.groups)
        for _ in range(self._random.randint(2, 5)):
            self.send_group(process, group)

    def _send_to_channel(self, process: Process) -> None:
        channels = [channel for one in self.world.processes.values() for channel in self._channels[one.id]]
        if channels:
            self.send_channel(process, self._random.choice(channels))

    def _send_to_queue(self, process: Process) -> None:
        self.send_queue(process, self._random.choice(QUEUES))

    def send_group(self, process: Process, group: str) -> Message:
        """Send a message to a group."""
        message = self._record.new_message(process.id, f"g:{group}")
        return self._send(process, message, names.group(group), Kind.GROUP, "", 0)

    def send_channel(self, process: Process, channel: str) -> Message:
        """Send a message to a channel of one process."""
        message = self._record.new_message(process.id, f"c:{channel}")
        owner = names.process_of(channel) or ""
        return self._send(process, message, names.inbox(owner), Kind.CHANNEL, channel, 0)

    def send_queue(self, process: Process, queue: str) -> Message:
        """Send a message to a normal channel."""
        message = self._record.new_message(process.id, f"q:{queue}")
        return self._send(process, message, names.queue(queue), Kind.QUEUED, "", LIMITS.capacity_of(queue))

    def _send(
        self, process: Process, message: Message, destination: str, kind: Kind, channel: str, capacity: int
    ) -> Message:
        body = b"%d" % message.number
        process.ask(
            lambda ticket: events.Publish(ticket, destination, kind, channel, b"", body, capacity),
            partial(self._record.settled, message),
        )
        return message

    def probe(self) -> list[Message]:
        """Let every process send to every group, every live channel and every queue once."""
        sent = []
        for process in self.world.processes.values():
            sent += [self.send_group(process, group) for group in self.groups]
            sent.append(self.send_queue(process, QUEUES[0]))
            for other in self.world.processes.values():
                sent += [self.send_channel(process, channel) for channel in self._channels[other.id][:1]]
        return sent
