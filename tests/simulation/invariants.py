"""What must hold when the faults are over and time has passed: promise 1 of the layer, and that all converges."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import parse
from realtime_gateway.layer.machine.follow import Phase
from tests.simulation.process import Process
from tests.simulation.record import Membership, Message, Record
from tests.simulation.world import LIMITS, World

# How far an age may be wrong besides the difference between the clocks of a shard's servers.
_AGE_BOUND_SECONDS = 0.15
# How much older than its join something may be that a member gets: besides, it travels for so long.
_TRAVEL_SECONDS = 0.6
_LONG_SECONDS = 1.0
_HANGS_SECONDS = 8.0
_PUSHES_LOST_SECONDS = 2.0
_LONG_ABSENCES = ("long partition", "long absence", "unread when it moves", "long outage with a loss")


def violations(world: World) -> list[str]:
    """Return what does not hold, as sentences."""
    found: list[str] = []
    for process in (*world.processes.values(), *world.ended):
        found += [f"the machine of {process.id} raised {error}" for error in process.raised]
    found += _not_converged(world)
    found += _Check(world).all()
    return found


def _not_converged(world: World) -> Iterator[str]:
    for process in world.processes.values():
        machine = process.machine
        if machine.reported_epoch != world.hosts.epoch:
            yield f"{process.id} reports epoch {machine.reported_epoch}, not {world.hosts.epoch}"
        if machine.epochs.hosts.epoch != world.hosts.epoch:
            yield f"{process.id} is at epoch {machine.epochs.hosts.epoch}, not {world.hosts.epoch}"
        if process.unsettled:
            yield f"{process.id} has {process.unsettled} requests without an answer"
        for follow in machine.following.follows.values():
            owner = machine.epochs.hosts.owner(names.name_of(follow.destination)).name
            if follow.phase is not Phase.LIVE or follow.shard != owner:
                where = f"{follow.shard}, {follow.phase.value}"
                yield f"{process.id} follows {follow.destination} on {where}; its owner is {owner}"
        for lane in machine.publishing.lanes.values():
            if lane.queue or lane.in_flight:
                yield f"{process.id} has {len(lane.queue)} messages waiting for {lane.shard}"


def keeps_too_much(process: Process) -> Iterator[str]:
    """Say what a machine still holds long after the last message."""
    machine = process.machine
    for lane in machine.publishing.lanes.values():
        if lane.retained or lane.retained_bytes:
            yield f"{process.id} keeps {len(lane.retained)} sent messages for {lane.shard}"
    for follow in machine.following.follows.values():
        if follow.held:
            yield f"{process.id} holds {len(follow.held)} pushed messages of {follow.destination}"
        if follow.marks or follow.marks_before:
            yield f"{process.id} remembers senders of {follow.destination}"
    if len(machine.following._memory):
        yield f"{process.id} remembers {len(machine.following._memory)} destinations that it has left"


class _Check:
    def __init__(self, world: World) -> None:
        self.world = world
        self.record: Record = world.record
        self.live = {process.id: process for process in world.processes.values()}
        self.counts = self.record.counts
        # A stream's ids are one server's times; another one that reads them may be ahead or behind.
        spread = max(shard.clock_spread_ms for shard in world.shards.values())
        self._clock_bound = _AGE_BOUND_SECONDS + spread / 1000
        self._missed: defaultdict[tuple[str, str], list[float]] = defaultdict(list)  # (process, destination) → sent at

    def all(self) -> list[str]:
        """Check every promise."""
        found = [
            *self._lost_in_groups(), *self._lost_to_channels(), *self._lost_in_queues(), *self._twice(),
            *self._out_of_order(), *self._older_than_the_join(),
        ]  # fmt: skip
        self._count_alarms()
        return found

    # Loss

    def _lost_in_groups(self) -> Iterator[str]:
        by_group: dict[str, list[Membership]] = {}
        for one in self.record.memberships:
            if one.process in self.live and one.joined_at is not None and one.left_at is None:
                by_group.setdefault(f"g:{one.group}", []).append(one)
        got = {channel: {number for _, number in received} for channel, received in self.record.received.items()}
        for message in self.record.messages:
            if message.acknowledged_at is None:
                continue
            for member in by_group.get(message.destination, ()):
                assert member.joined_at is not None
                if member.joined_at + self._clock_bound < message.sent_at:
                    self.counts["deliveries that were due"] += 1
                    if message.number not in got.get(member.channel, ()):
                        yield from self._missing(message, member.process, member.channel, message.destination)

    def _lost_to_channels(self) -> Iterator[str]:
        for message in self.record.messages:
            if message.acknowledged_at is None or not message.destination.startswith("c:"):
                continue
            channel = message.destination[2:]
            owner = names.process_of(channel) or ""
            if owner in self.live:
                self.counts["deliveries that were due"] += 1
                if all(number != message.number for _, number in self.record.received.get(channel, ())):
                    yield from self._missing(message, owner, channel, f"i:{owner}")

    def _missing(self, message: Message, process: str, channel: str, destination: str) -> Iterator[str]:
        if (channel, message.number) in self.record.refused:
            return
        self._missed[process, destination].append(message.sent_at)
        if self._died_with_its_shard(message):
            self.counts["lost with sender and shard"] += 1
            return
        if self.counts["fault: pushes lost"] and self._was_the_last_for_long(message, destination):
            # Redis closes a connection that it drops pushes of; where it did not, only what comes next shows it.
            self.counts["pushes lost in silence"] += 1
            return
        if any(
            one.process == process and destination in one.destinations and one.at >= message.sent_at
            for one in self.record.loss_reports
        ):
            self.counts["losses that were reported"] += 1
            return
        acknowledged = f"acknowledged at {message.acknowledged_at:.3f}"
        yield f"message {message.number} to {destination}, {acknowledged}, never reached {channel}"

    def _count_alarms(self) -> None:
        """How often a process that lived to the end was told of a loss, and how often nothing was missing.

        Where senders may keep only a few messages, they cannot know whether a new server has those that they let go.
        """
        bound = " by senders over their bound" if self.counts["dropped: replay_bound"] else ""
        for one in self.record.loss_reports:
            for destination in one.destinations if one.process in self.live else ():
                self.counts[f"told of a loss{bound}"] += 1
                if not any(sent_at <= one.at for sent_at in self._missed[one.process, destination]):
                    self.counts[f"told of a loss{bound} that was none"] += 1

    def _was_the_last_for_long(self, message: Message, destination: str) -> bool:
        def stream(other: Message) -> str:
            kind, name = other.destination[:2], other.destination[2:]
            return f"i:{names.process_of(name)}" if kind == "c:" else other.destination

        return not any(
            stream(other) == destination
            and other.acknowledged_at is not None
            and _PUSHES_LOST_SECONDS < other.sent_at - message.sent_at < LIMITS.history_seconds
            for other in self.record.messages
        )

    def _died_with_its_shard(self, message: Message) -> bool:
        return message.sender in self.world.crashed_at and bool(self.record.gone_from_servers.get(message.number))

    def _lost_in_queues(self) -> Iterator[str]:
        waiting = {
            body.partition(b" ")[2]
            for shard in self.world.shards.values()
            for key, bodies in shard.primary.bodies().items()
            if b":q:" in key
            for body in bodies
        }
        if waiting:
            self.counts["runs with something left in a queue"] += 1
        # A queue that no worker could reach for so long has expired, with what was in it.
        away = any(self.counts[f"fault: {name}"] for name in _LONG_ABSENCES) or self.counts["dropped: expired"]
        crashed = {process.name for process in self.world.ended}
        in_vain = {
            int(parse(raw).body) for process, raw in self.world.network.taken_in_vain.values() if process in crashed
        }
        in_vain.update(int(body) for process in self.world.ended for body in process.in_vain)
        for message in self.record.messages:
            if message.acknowledged_at is None or not message.destination.startswith("q:"):
                continue
            self.counts["queue messages that were due"] += 1
            if any(number == message.number for _, number, _ in self.record.taken_from[message.destination[2:]]):
                continue
            if message.number in in_vain:
                self.counts["lost with a worker that crashed"] += 1
            elif away:
                self.counts["may have expired in a queue that nobody could reach"] += 1
            elif self._expired_between_failovers(message):
                self.counts["expired in a queue while one failover followed another"] += 1
            elif self.counts["dropped: replay_bound"] and self.record.gone_from_servers.get(message.number):
                self.counts["lost from a queue with its server, and over the sender's bound"] += 1
            elif not self._died_with_its_shard(message):
                yield f"message {message.number} to {message.destination} was acknowledged and never taken"

    def _expired_between_failovers(self, message: Message) -> bool:
        """Whether a queue was out of reach from a message's sending to its expiry, since a new primary was killed too.

        One failover alone is shorter than a message's life.
        """
        expires_at = message.sent_at + LIMITS.expiry_seconds
        outages = [outage for shard in self.world.shards.values() for outage in shard.outages]
        return any(began - _LONG_SECONDS <= message.sent_at and expires_at <= ended for began, ended in outages)

    # The rest

    def _twice(self) -> Iterator[str]:
        for channel, received in self.record.received.items():
            seen: set[int] = set()
            for _, number in received:
                if number in seen:
                    yield f"message {number} reached {channel} twice"
                seen.add(number)
        for queue, taken in self.record.taken_from.items():
            before: set[int] = set()
            for at, number, _ in taken:
                if number in before and self._an_owner_lost_data(queue, at):
                    self.counts["taken twice after a failover"] += 1
                elif number in before:
                    yield f"message {number} of {queue} was taken twice"
                before.add(number)

    def _an_owner_lost_data(self, queue: str, until: float) -> bool:
        """Whether a shard that a queue was on by then had another server by then, or was emptied."""
        owners = {hosts.owner(queue).name for since, hosts in self.world.lists if since <= until}
        return any(at <= until for name in owners for at in self.world.shards[name].replaced_at)

    def _out_of_order(self) -> Iterator[str]:
        messages = self.record.messages
        for channel, received in self.record.received.items():
            newest: dict[tuple[str, str], int] = {}
            for _, number in received:
                message = messages[number]
                flow = (message.sender, message.destination)
                if number < newest.get(flow, -1):
                    yield f"message {number} reached {channel} after {newest[flow]} of the same sender"
                newest[flow] = max(number, newest.get(flow, -1))

    def _older_than_the_join(self) -> Iterator[str]:
        memberships: dict[tuple[str, str], list[Membership]] = {}
        for one in self.record.memberships:
            memberships.setdefault((one.channel, one.group), []).append(one)
        for channel, received in self.record.received.items():
            for at, number in received:
                message = self.record.messages[number]
                if not message.destination.startswith("g:") or self._was_long_under_way(message):
                    continue
                group = message.destination[2:]
                joined = _member_since(memberships[channel, group], at)
                if message.sent_at + self._clock_bound + _TRAVEL_SECONDS < joined:
                    sent = f"message {number}, sent at {message.sent_at:.3f}"
                    yield f"{sent}, reached {channel}, which joined at {joined:.3f}"

    def _was_long_under_way(self, message: Message) -> bool:
        # A server that hangs stores what is in its socket when it goes on: then it is new, as far as anybody can tell.
        if message.ended_at is None or message.ended_at - message.sent_at > _LONG_SECONDS:
            return True
        return any(start - 0.5 < message.sent_at < start + _HANGS_SECONDS for start in self.world.network.froze_at)


def _member_since(memberships: list[Membership], at: float) -> float:
    """Since when a channel may have been a member at a moment; a request that ended in an error may have succeeded."""
    since, certain = 0.0, True
    for one in memberships:
        if one.asked_at <= at:
            since, certain = one.asked_at if certain else since, one.joined_at is not None
    return since
