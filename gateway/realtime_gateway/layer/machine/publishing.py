"""What this process sends: numbered, batched, kept until it is certain, and sent again when it is not.

Per shard there is one *lane*:

    queue ──batch──▶ in flight ──OK──▶ retained ──(contact with the same server replay_seconds later)──▶ forgotten
      ▲                 │  link broke: unknown        │
      └─────────────────┘◀────────────────────────────┘ another server now, or not the owner for a while

One batch at a time per lane, so nothing overtakes. What is sent again keeps its sequence number: readers drop what
they have seen. Retention ends by contact, not by the clock: an outage stops it, and so does a server that takes no
writes. A message that was acknowledged and then could not be confirmed for as long as history lasts is given up, and a
marker tells its readers.

A message to a work queue stays with the shard that may have taken it: workers empty every owner that is not retired.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import envelope, names
from realtime_gateway.layer.envelope import Entry, Kind
from realtime_gateway.layer.machine.actions import Acknowledged, Call, Dropped, Redial, Settle, Verdict
from realtime_gateway.layer.machine.events import Publish, Refusal
from realtime_gateway.layer.machine.follow import Server
from realtime_gateway.layer.machine.lane import BatchSent, Item, Lane
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.moving import owned_elsewhere, unretired_shards
from realtime_gateway.layer.machine.passing import DEMOTED, PASSING

_KeysAndArguments = tuple[list[str], list[str | bytes | int]]


class Publishing:
    """The sending half of the machine.

    Args:
        hosts: which shard owns what.
        emit: takes the actions.
        news: called with (shard, epoch, document or None) when a shard turns out to be newer, or older (None).
    """

    def __init__(
        self,
        identity: Identity,
        limits: Limits,
        hosts: HostList,
        emit: Callable[[Any], None],
        news: Callable[[str, int, bytes | None], None],
    ) -> None:
        self._identity = identity
        self._names = identity.names
        self._limits = limits
        self._hosts = hosts
        self._emit = emit
        self._news = news
        self.sequence = 0
        self._owners: dict[str, str] = {}
        # The last sequence per destination, in two generations so that the forgotten cost nothing to forget.
        self._last: dict[str, int] = {}
        self._last_before: dict[str, int] = {}
        self._rotated_at: float | None = None
        self._paused = False
        self._dirty: dict[str, None] = {}  # shards, in the order in which something came for them
        self._links: set[str] = set()
        self._servers: dict[str, Server] = {}  # where each link led to, when it said so last
        self._markers: set[str] = set()  # destinations whose loss is being told
        self.lanes: dict[str, Lane] = {name: Lane(name) for name in unretired_shards(hosts)}

    def publish(self, event: Publish, now: float) -> int:
        """Number a message and let it wait for the end of the turn; return its sequence number."""
        self.sequence += 1
        lane = self.lane_of(event.destination)
        item = Item(event, self.sequence, now, now + self._limits.send_timeout_seconds)
        if not lane.has_room(item, self._limits.unsent_bytes, self._paused):
            self._emit(Settle(event.ticket, Verdict.UNAVAILABLE, lane.shard, "what waits for it has reached its bound"))
            return self.sequence
        lane.enqueue(item)
        self._dirty[lane.shard] = None
        return self.sequence

    def lane_of(self, destination: str) -> Lane:
        """The lane of the shard that owns a destination."""
        shard = self._owners.get(destination)
        if shard is None:
            if len(self._owners) > 50_000:
                self._owners.clear()
            shard = self._owners[destination] = self._hosts.owner(names.name_of(destination)).name
        return self.lanes[shard]

    def turn_ended(self, now: float) -> None:
        """Send what has gathered, one batch per lane that can take one."""
        dirty, self._dirty = self._dirty, {}
        for shard in dirty:
            self._send(self.lanes.get(shard), now)

    def link_up(self, shard: str) -> None:
        """A link is open; nothing is sent before it has answered with its epoch."""
        self._links.add(shard)
        lane = self.lanes.get(shard)
        if lane is not None:
            lane.up, lane.epoch, lane.trouble = True, None, ""

    def server_known(self, shard: str, server: Server, now: float) -> None:
        """The present link has said where it leads to."""
        self._servers[shard] = server
        lane = self.lanes.get(shard)
        if lane is None:
            return
        if lane.server is not None and server != lane.server:
            # Another server, or another data set: it may lack the end of what the last one acknowledged.
            lane.requeue(lane.send_retained_again(now))
            for destination in lane.at_risk:
                self._mark_loss(destination, now)
            lane.at_risk.clear()
        lane.server = server

    def fenced(self, shard: str, epoch: int, now: float) -> None:
        """The present link has answered that the shard is at ``epoch``."""
        lane = self.lanes.get(shard)
        if lane is not None and lane.up:
            lane.epoch, lane.held_up = epoch, False
            self._send(lane, now)

    def link_down(self, shard: str, reason: str, refused: str = "") -> None:
        """What was in flight is of unknown fate and will be sent again."""
        self._links.discard(shard)
        lane = self.lanes.get(shard)
        if lane is None:
            return
        lane.up, lane.epoch, lane.trouble = False, None, reason
        lane.requeue(lane.take_flying())
        if refused:
            self._fail_waiting(lane, Verdict.REFUSED, refused)

    def pause(self) -> None:
        """Send nothing while a newer host list is being adopted."""
        self._paused = True

    def rebase(self, hosts: HostList, now: float) -> None:
        """Use a newer host list: everything that is kept goes to its present owner, before anything new."""
        old, self._hosts = self._hosts, hosts
        self._owners.clear()
        before, unretired = self.lanes, unretired_shards(hosts)
        self.lanes = {name: before.get(name) or Lane(name, self._servers.get(name)) for name in unretired}
        self._servers = {name: server for name, server in self._servers.items() if name in self._links}
        for name, lane in self.lanes.items():
            lane.epoch = None  # until its link is offered under the new epoch
            lane.up = name in self._links
            lane.addresses.clear()
        by_lane: dict[str, list[Item]] = {}
        for lane in before.values():
            for item in self._take_all(lane, old, now):
                stays = item.destination[0] == names.QUEUE and item.tries and lane.shard in unretired
                shard = lane.shard if stays else self.lane_of(item.destination).shard
                by_lane.setdefault(shard, []).append(item)
        for name, items in by_lane.items():
            self.lanes[name].requeue(items)
        self._paused = False
        self._dirty.update(dict.fromkeys(self.lanes))
        self.turn_ended(now)

    def _take_all(self, lane: Lane, old: HostList, now: float) -> list[Item]:
        """Everything of a lane that has to be sent, or sent again because of another host list."""
        elsewhere: dict[str, bool] = {}

        def moved(item: Item) -> bool:
            destination = item.destination
            if destination[0] == names.QUEUE:
                return False
            if destination not in elsewhere:
                name = names.name_of(destination)
                elsewhere[destination] = owned_elsewhere(old, self._hosts, name, lane.shard)
            return elsewhere[destination]

        return [*lane.send_retained_again(now, moved), *lane.take_flying(), *lane.take_waiting(lambda item: True)]

    def replied(self, shard: str, purpose: BatchSent, result: Any, now: float) -> None:
        """Take the answer to a batch."""
        lane = self.lanes.get(shard)
        if lane is None or lane.in_flight is not purpose:
            return
        lane.in_flight = None
        if isinstance(result, Refusal):
            result = [b"OK", *[result] * len(purpose.items)]
        if result[0] == b"OK":
            self._settle_batch(lane, purpose, result, now)
        else:
            lane.requeue(item for item in purpose.items if not item.abandoned)
            lane.epoch = None
            self._news(shard, int(result[1]), result[2] if result[0] == b"NEW" else None)
        self._send(lane, now)

    def contact(self, shard: str, now: float) -> None:
        """The same server, with the same data, has taken a write, as only a primary with its replicas does."""
        lane = self.lanes.get(shard)
        if lane is not None:
            lane.contact_at = now

    def tick(self, now: float) -> None:
        """Give up what has waited too long, forget what is certain, try again what was put off."""
        for lane in self.lanes.values():
            lane.look()
            self._give_up_late(lane, now)
            self._give_up_unconfirmed(lane, now)
            lane.forget_certain(lane.contact_at - self._limits.replay_seconds)
            self._send(lane, now)
        if self._rotated_at is None or now - self._rotated_at > self._limits.memory_seconds:
            self._rotated_at = now
            self._last_before, self._last = self._last, {}

    def _send(self, lane: Lane | None, now: float) -> None:
        if lane is None or self._paused or not lane.up or lane.epoch is None or lane.in_flight is not None:
            return
        if not lane.queue or now < lane.retry_at:
            return
        batch = lane.next_batch()
        try:
            keys, arguments = self._call_for(lane, lane.epoch, batch, now)
        except (ValueError, OverflowError) as error:
            # Of an epoch that no list may have, which somebody has put onto the shard.
            self._fail_waiting(lane, Verdict.REFUSED, str(error))
            return
        lane.take_batch(batch)
        lane.in_flight = BatchSent(batch, now)
        self._emit(Call(lane.shard, "publish", keys, arguments, lane.in_flight))

    def _call_for(self, lane: Lane, epoch: int, batch: list[Item], now: float) -> _KeysAndArguments:
        keys, arguments = self._head(epoch)
        in_this_batch: dict[str, int] = {}
        for item in batch:
            key, second, topic = lane.addresses.get(item.destination) or self._address(lane, item)
            keys += (key, second)
            self._chain(item, in_this_batch)
            packed = self._packed(item, epoch, now)
            arguments += (item.destination[0], packed, topic, item.capacity, item.sequence)
        keys.append(self._names.data_set)
        arguments.append(lane.server.data_set if lane.server else "")
        return keys, arguments

    def _head(self, epoch: int) -> _KeysAndArguments:
        limits = self._limits
        arguments: list[str | bytes | int] = [
            epoch,
            int(limits.history_seconds * 1000),
            limits.history_messages,
            int(limits.history_seconds) + 10,
            int(limits.expiry_seconds * 1000),
            int(limits.group_expiry_seconds * 1000),
        ]
        return [self._names.epoch, self._names.hosts], arguments

    def _address(self, lane: Lane, item: Item) -> tuple[str, str, str]:
        """The keys and the pub/sub channel of a message; those of a group are the same for all that go there."""
        destination = item.destination
        key, topic = self._names.key(destination), self._identity.topic(lane.shard, destination)
        if destination[0] == names.GROUP:
            return lane.remember(destination, (key, self._names.members(destination), topic))
        if destination[0] == names.QUEUE:
            return key, self._names.mark(destination, self._identity.sender, item.source), topic
        # Requests and answers meet no full mailbox, and this process has looked into its own ones itself.
        # What was acknowledged once is not refused when it is sent again: an owner that is full drops and counts it.
        new = item.kind == Kind.CHANNEL and item.acknowledged_at is None
        foreign = new and names.name_of(destination) != self._identity.process
        return key, self._names.full(item.channel if foreign else ""), topic

    def _chain(self, item: Item, in_this_batch: dict[str, int]) -> None:
        destination = item.destination
        if destination[0] == names.QUEUE:
            return
        if item.acknowledged_at is None:
            # Only what is stored counts: readers would look for a message that was refused, or given up between two
            # tries of this one, and report it as lost.
            last = self._last.get(destination) or self._last_before.get(destination, 0)
            item.previous = in_this_batch.get(destination, last)
        if destination[0] == names.GROUP:
            # A group takes all of a batch or none after the first it refuses; an inbox may be FULL for one channel.
            in_this_batch[destination] = item.sequence

    def _packed(self, item: Item, epoch: int, now: float) -> bytes:
        age_ms = int((now - item.first_at) * 1000)
        sender, previous = self._identity.sender, max(item.previous, 0)
        return envelope.pack(
            Entry(item.kind, epoch, sender, item.sequence, previous, age_ms, item.channel, item.trace, item.body)
        )

    def _settle_batch(self, lane: Lane, batch: BatchSent, result: list[Any], now: float) -> None:
        again: list[Item] = []
        first: list[Item] = []
        repeated: list[Item] = []
        for item, answer in zip(batch.items, result[1:], strict=True):
            if item.trace:
                batch.answered(item, now)
            if isinstance(answer, Refusal):
                if answer.code in PASSING or item.outlasts(answer.code):
                    again.append(item)
                    lane.trouble = answer.text
                else:
                    self._finish(item, Verdict.REFUSED, lane.shard, answer.text)
                if answer.code in DEMOTED and len(again) == 1:
                    self._emit(Redial(lane.shard, answer.text))
            elif answer == b"FULL":
                self._finish(item, Verdict.FULL, lane.shard)
            else:
                (first if item.acknowledged_at is None else repeated).append(item)
                if answer != 0:
                    # It takes writes. One that refuses them may be a primary that has been replaced (min-replicas).
                    lane.contact_at = now
                self._stored(lane, item, answer, now)
        lane.held_up = bool(again)
        if again:
            lane.requeue(item for item in again if not item.abandoned)
            lane.retry_at = now + 0.05
        if first or repeated:
            self._emit(Acknowledged(first, len(repeated)))

    def _stored(self, lane: Lane, item: Item, answer: Any, now: float) -> None:
        first_time = item.acknowledged_at is None
        item.acknowledged_at, item.unconfirmed_since = now, None
        if item.destination[0] != names.QUEUE:
            self._last[item.destination] = max(item.sequence, self._last.get(item.destination, 0))
        lane.retained.append(item)
        lane.retained_bytes += item.size
        if lane.retained_bytes > self._limits.replay_bytes and (let_go := lane.keep_within(self._limits)):
            self._emit(Dropped("replay_bound", let_go))
        if first_time and item.kind == Kind.GROUP and isinstance(answer, list) and item.ticket is not None:
            self._spread(item, answer[1:], now)
        if not item.unfinished:
            self._finish(item, Verdict.DONE, lane.shard)

    def _spread(self, parent: Item, channels: list[bytes], now: float) -> None:
        """Put a group's message into the queue of each normal channel in the group, under the same number."""
        parent.unfinished = len(channels)
        for channel in channels:
            destination = names.queue(channel.decode())
            capacity = self._limits.capacity_of(channel.decode())
            event = Publish(-1, destination, Kind.QUEUED, "", parent.trace, parent.body, capacity)
            child = Item(event, parent.sequence, now, parent.deadline)
            child.ticket, child.parent, child.source = None, parent, names.name_of(parent.destination)
            lane = self.lane_of(destination)
            if not lane.has_room(child, self._limits.unsent_bytes, self._paused):
                self._finish(child, Verdict.UNAVAILABLE, lane.shard)
                continue
            lane.enqueue(child)
            self._dirty[lane.shard] = None
            self._send(lane, now)

    def _finish(self, item: Item, verdict: Verdict, shard: str, detail: str = "") -> None:
        if item.parent is not None:
            # group_send never fails for one member; what did not get in is counted.
            parent, item.parent = item.parent, None
            if verdict is not Verdict.DONE:
                self._emit(Dropped("queue_full" if verdict is Verdict.FULL else "queue_unreachable"))
            parent.unfinished -= 1
            if not parent.unfinished:
                self._finish(parent, Verdict.DONE, shard)
        elif item.ticket is not None:
            ticket, item.ticket = item.ticket, None
            if item.kind == Kind.LOSS:
                self._markers.discard(item.destination)
            self._emit(Settle(ticket, verdict, shard, detail, item.round_trip))

    def _fail_waiting(self, lane: Lane, verdict: Verdict, detail: str) -> None:
        for item in lane.take_waiting(lambda item: not item.outlasts("")):
            self._finish(item, verdict, lane.shard, detail)

    def _give_up_late(self, lane: Lane, now: float) -> None:
        late = lane.take_waiting(lambda item: item.deadline <= now and item.acknowledged_at is None)
        if lane.in_flight is not None:
            late += [item for item in lane.in_flight.items if item.deadline <= now]
        for item in late:
            self._finish(item, Verdict.UNAVAILABLE, lane.shard, lane.trouble)

    def _give_up_unconfirmed(self, lane: Lane, now: float) -> None:
        """Let go of what was acknowledged once and could not be confirmed since, and tell its readers."""
        limit = now - self._limits.history_seconds
        late = lane.take_waiting(lambda item: item.unconfirmed_since is not None and item.unconfirmed_since < limit)
        if not late:
            return
        self._emit(Dropped("unconfirmed", len(late)))
        for item in late:
            self._mark_loss(item.destination, now)

    def _mark_loss(self, destination: str, now: float) -> None:
        """Send a marker that waits for as long as it takes; one for each destination is enough."""
        if destination[0] == names.QUEUE or destination in self._markers:
            return
        self._markers.add(destination)
        self.sequence += 1
        marker = Item(Publish(-1, destination, Kind.LOSS, "", b"", b""), self.sequence, now, inf)
        lane = self.lane_of(destination)
        lane.enqueue(marker)
        self._dirty[lane.shard] = None
