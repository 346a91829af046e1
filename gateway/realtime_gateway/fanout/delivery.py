"""Between the layer's messages and the sockets of their members: rendered once, joined per turn, written in one call.

    layer ── offer ──▶ FanOut.deliver ──rendered──▶ batch of the group ──end of the turn──▶ socket of whoever is free
                          │    │                                          └───────────────▶ mailboxes of the others
                          │    └─ has to be waited for ─▶ held, and so are later messages of the group ─▶ batch
                          └─ no fan-out member ─▶ left to the layer

A member is free when no handler of its consumer runs, its mailbox is empty, and its outbox takes the frames. One whose
handler runs, as that of every sender does, is written to when it ends, unless something else comes first. Order per
member is that of the mailboxes: whatever comes for a member on another way first flushes the batch that it is in. The
one exception is a group whose handler has to be waited for; other groups and channels go on meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Hashable
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from realtime_gateway.fanout.batch import Batch, Entry, Joined, Kind, Member, Offer, Outbox
from realtime_gateway.fanout.consumer_class import ConsumerClass
from realtime_gateway.fanout.handlers import FanOutHandler
from realtime_gateway.fanout.rendering import Event, Outcome, RenderedBody
from realtime_gateway.telemetry import recorder, socket_spans

logger = logging.getLogger("realtime_gateway.fanout")

Deliver = Callable[[Offer, Collection[str]], Collection[str]]

# What a turn has for a group is written when it is so much, without waiting for the turn's end: it is the most that a
# client that has stopped reading leaves in our memory, on top of one message.
BATCH_BYTES = 64 * 1024
# Messages of one group that wait for a slow handler; as many as a mailbox holds by default.
HELD_MESSAGES = 100
# Messages that wait for a member's running handler; what comes after them, and they, go into its mailbox.
WAITING_MESSAGES = 100


class Message:
    """One offer, looked at: which class renders it how."""

    __slots__ = ("events", "handlers", "members", "offer", "ordinary")

    def __init__(self, offer: Offer, members: list[Member], classes: dict[type, ConsumerClass]) -> None:
        self.offer = offer
        self.members = members
        self.events: dict[type, Event] = {}
        self.handlers: dict[type, FanOutHandler] = {}
        self.ordinary = False
        for consumer in {member.kind.consumer for member in members}:
            event = self.events[consumer] = offer.body.decode()
            handler = classes[consumer].handler_of(event)
            if handler is None:
                self.ordinary = True
            else:
                self.handlers[consumer] = handler


class FanOut:
    """The fan-out members of one channel layer in this process; what the layer calls is ``deliver``."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._classes: dict[type, ConsumerClass] = {}
        self._kinds: dict[tuple[type, object], Kind] = {}
        self._members: dict[str, Member] = {}
        self._batches: dict[str, Batch] = {}
        self._turn_open = False
        self._held: dict[str, deque[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # Members

    def add(self, channel: str, consumer: ConsumerClass, outbox: Outbox | None) -> Member:
        """Make a consumer that runs on the current loop a member; ``remove`` ends it."""
        loop = asyncio.get_running_loop()
        if not self._members:
            self._start_on(loop)
        self._classes[consumer.consumer] = consumer
        member = Member(channel, self._kind(consumer.consumer, None), outbox)
        if loop is self._loop:  # whoever is on another has everything through its mailbox, unrendered
            self._members[channel] = member
        return member

    def remove(self, member: Member) -> None:
        """The consumer is over."""
        self._members.pop(member.channel, None)
        member.waiting.clear()

    def released(self, member: Member) -> None:
        """No handler of the consumer runs any more, and it has taken nothing: write what has waited for that."""
        entries, member.waiting = member.waiting, []
        batch = Batch("", [member])
        for entry in entries:
            batch.add(entry)
        outbox, began_at = member.outbox, time.monotonic()
        joined = None if outbox is None else batch.joined_for(member, outbox)
        if outbox is None or joined is None or (joined.messages and not outbox.write(joined.frames)):
            for entry in entries:
                self._put(entry, [member])
            return
        recorder.messages_sent.add(joined.messages)
        recorder.sent_bytes.add(len(joined.frames))
        _trace_writes(batch, member.kind, [member], began_at)
        for entry in entries:
            entry.offer.delivered(1)
        recorder.fan_out_members.add(len(entries), "direct")

    def _kind(self, consumer: type, encoding: Hashable) -> Kind:
        key = (consumer, encoding)
        kind = self._kinds.get(key)
        if kind is None:
            kind = self._kinds[key] = Kind(consumer, encoding)
        return kind

    def _start_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            self._loop = loop
            self._batches.clear()
            self._held.clear()
            self._turn_open = False

    # Messages

    def deliver(self, offer: Offer, channels: Collection[str]) -> Collection[str]:
        """Take a message for those channels that are members; return the others, for the layer to deliver itself."""
        known = self._members
        if not known or self._loop is not asyncio.get_running_loop():
            return channels
        members = [known[channel] for channel in channels if channel in known]
        if not members:
            return channels
        if offer.group is None:
            self._settle(members)
            return channels
        others = [] if len(members) == len(channels) else [channel for channel in channels if channel not in known]
        if not self._take(offer, members):
            return channels
        return others

    def _take(self, offer: Offer, members: list[Member]) -> bool:
        group = offer.group or ""
        held = self._held.get(group)
        if held is not None and len(held) >= HELD_MESSAGES:
            offer.refused(len(members))
            return True
        try:
            message = Message(offer, members, self._classes)
        except Exception:
            # Whoever receives it says what is wrong with it. What went before has to be before it.
            self._settle(members)
            return False
        if held is not None:
            held.append(message)
        elif self._is_slow(message):
            self._hold(group, message)
        else:
            self._join(group, message, self._render(message))
        return True

    def _is_slow(self, message: Message) -> bool:
        classes = self._classes
        return any(classes[consumer].is_slow(handler) for consumer, handler in message.handlers.items())

    def _render(self, message: Message) -> dict[type, Outcome]:
        return {
            consumer: self._classes[consumer].render(handler, message.events[consumer])
            for consumer, handler in message.handlers.items()
        }

    def _join(self, group: str, message: Message, outcomes: dict[type, Outcome]) -> None:
        members, entry = message.members, Entry(message.offer, outcomes)
        if message.ordinary:
            ordinary = [member for member in members if member.kind.consumer not in outcomes]
            self._settle(ordinary)
            message.offer.put([member.channel for member in ordinary], message.offer.body)
            members = [member for member in members if member.kind.consumer in outcomes]
        if members:
            batch = self._batch_of(group, members)
            batch.add(entry)
            if batch.size_bytes >= BATCH_BYTES:
                self._flush(batch)

    def _batch_of(self, group: str, members: list[Member]) -> Batch:
        batch = self._batches.get(group)
        if batch is not None and batch.members == members:
            return batch
        self._flush_batches_of(members)
        if batch is not None:
            self._flush(batch)
        batch = self._batches[group] = Batch(group, members)
        for member in members:
            member.batch = batch
        if not self._turn_open:
            self._turn_open = True
            asyncio.get_running_loop().call_soon(self._end_turn, context=Context())
        return batch

    # Writing

    def _settle(self, members: list[Member]) -> None:
        """Bring everything before what comes for these members through their mailboxes now."""
        self._flush_batches_of(members)
        for member in members:
            if member.waiting:
                self._stop_waiting(member)

    def _flush_batches_of(self, members: list[Member]) -> None:
        for member in members:
            if member.batch is not None:
                self._flush(member.batch)

    def _stop_waiting(self, member: Member) -> None:
        entries, member.waiting = member.waiting, []
        for entry in entries:
            self._put(entry, [member])

    def _let_wait(self, batch: Batch, busy: list[Member]) -> list[Member]:
        """Keep the batch for members that only wait for their own handlers; return the others."""
        filled, count = batch.entries[-1].offer.filled, len(batch.entries)
        others = []
        for member in busy:
            room = len(member.waiting) + count <= WAITING_MESSAGES
            if member.outbox is not None and member.unhandled and room and member.channel not in filled:
                member.waiting += batch.entries
            else:
                if member.waiting:
                    self._stop_waiting(member)
                others.append(member)
        return others

    def _end_turn(self) -> None:
        self._turn_open = False
        for batch in list(self._batches.values()):
            self._flush(batch)

    def _flush(self, batch: Batch) -> None:
        if self._batches.get(batch.group) is not batch:
            return
        del self._batches[batch.group]
        for member in batch.members:
            member.batch = None
        try:
            self._deliver_batch(batch)
        except Exception:  # of one group's, which no other group may miss its messages for
            logger.exception("Messages of %s could not be delivered", batch.group)

    def _deliver_batch(self, batch: Batch) -> None:
        busy = self._write(batch)
        direct = len(batch.members) - len(busy)
        busy = self._let_wait(batch, busy)
        for entry in batch.entries:
            if direct:
                entry.offer.delivered(direct)
                recorder.fan_out_members.add(direct, "direct")
            if busy:
                self._put(entry, busy)

    def _write(self, batch: Batch) -> list[Member]:
        """Write to the sockets of those who are free; return the others."""
        filled = batch.entries[-1].offer.filled
        busy: list[Member] = []
        free: dict[Kind, list[Member]] = {}
        for member in batch.members:
            outbox = member.outbox
            if outbox is None or member.unhandled or member.channel in filled:
                busy.append(member)
                continue
            kind, encoding = member.kind, outbox.encoding
            if kind.encoding != encoding:
                if encoding is None:
                    busy.append(member)
                    continue
                kind = member.kind = self._kind(kind.consumer, encoding)
            try:
                free[kind].append(member)
            except KeyError:
                free[kind] = [member]
        for kind, members in free.items():
            began_at = time.monotonic()
            try:
                refused = self._write_to(members, batch, kind)
                busy += refused
                _trace_writes(batch, kind, members, began_at, refused)
            except Exception:  # of one class's, or one encoding's, which no other may miss its messages for
                recorder.fan_out_errors.add()
                logger.exception("Messages of %s could not be written to %s", batch.group, kind.consumer.__qualname__)
        return busy

    def _write_to(self, members: list[Member], batch: Batch, kind: Kind) -> list[Member]:
        """Write to members of one kind; return those whose outboxes have refused."""
        outboxes: list[Any] = [member.outbox for member in members]
        joined = batch.joined(kind, outboxes[0])
        refused: list[Member] = []
        if joined.excluded:
            for member in [one for one in members if one.channel in joined.excluded]:
                own = batch.joined_for(member, outboxes[0])
                if not self._write_joined([member.outbox], own):
                    continue
                refused.append(member)
            members = [member for member in members if member.channel not in joined.excluded]
            outboxes = [member.outbox for member in members]
        return refused + [members[place] for place in self._write_joined(outboxes, joined)]

    @staticmethod
    def _write_joined(outboxes: list[Any], joined: Joined) -> list[int]:
        refused = type(outboxes[0]).write_all(outboxes, joined.frames) if joined.messages and outboxes else []
        written = len(outboxes) - len(refused)
        recorder.messages_sent.add(joined.messages * written)
        recorder.sent_bytes.add(len(joined.frames) * written)
        return refused

    def _put(self, entry: Entry, members: list[Member]) -> None:
        outcomes = entry.outcomes
        channels = [
            member.channel
            for member in members
            if (outcome := outcomes[member.kind.consumer]).content is not None and outcome.excluded != member.channel
        ]
        if channels:
            recorder.fan_out_members.add(len(channels), "mailbox")
            entry.offer.put(channels, RenderedBody(entry.offer.body, outcomes))

    # Handlers that have to be waited for

    def _hold(self, group: str, message: Message) -> None:
        self._held[group] = deque([message])
        task = asyncio.get_running_loop().create_task(self._work_through(group), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_through(self, group: str) -> None:
        """Render what is held of a group, one message after the other, until nothing is left."""
        held = self._held[group]
        try:
            while held:
                message = held[0]
                outcomes = {
                    consumer: await self._classes[consumer].render_slowly(handler, message.events[consumer])
                    for consumer, handler in message.handlers.items()
                }
                held.popleft()
                message.members = [one for one in message.members if self._members.get(one.channel) is one]
                try:
                    self._join(group, message, outcomes)
                except Exception:  # of this message, which those behind it may not be lost for
                    logger.exception("A message of %s could not be delivered", group)
        finally:
            if self._held.get(group) is held:
                del self._held[group]


def _trace_writes(
    batch: Batch, kind: Kind, members: list[Member], began_at: float, refused: Collection[Member] = ()
) -> None:
    """Say in the traces of the batch's messages that they were written, once for all sockets."""
    for entry in batch.entries:
        outcome = entry.outcomes[kind.consumer]
        if outcome.cause is None or outcome.content is None:
            continue
        without = {outcome.excluded, *(one.channel for one in refused)}
        written = sum(one.channel not in without for one in members)
        if written:
            socket_spans.sent_to_many(outcome.cause, len(outcome.payload), outcome.is_binary, written, began_at)


_FAN_OUTS: WeakKeyDictionary[object, FanOut] = WeakKeyDictionary()


def fan_out_of(layer: object) -> FanOut | None:
    """Return the fan-out of a channel layer, attached to it; None where the layer does not offer that."""
    attach: Callable[[Deliver], None] | None = getattr(layer, "attach", None)
    if attach is None:
        return None
    fan_out = _FAN_OUTS.get(layer)
    if fan_out is None:
        fan_out = _FAN_OUTS[layer] = FanOut()
    attach(fan_out.deliver)  # each time, since a forked process's layer begins anew
    return fan_out
