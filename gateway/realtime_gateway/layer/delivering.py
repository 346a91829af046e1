"""Into the mailboxes of local channels: at once for a few members, a slice in each turn of the loop for many.

Every member that gets a message has a task that runs in the next turn. Ten thousand of them in one turn would keep
pings, new connections and the sender's own answer waiting for as long as all of their handlers take.

    few members, nothing waiting for the same destination ──▶ mailboxes
    many ──▶ wait ──a slice in each turn──▶ mailboxes          (what comes for the same destination waits behind)

A member that the fan-out takes costs no task, so a room of some hundred is offered to it at once: what comes for the
room in one turn is then one write to each socket.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextvars import Context
from typing import Any

from realtime_gateway.layer import drops
from realtime_gateway.layer.machine import events
from realtime_gateway.layer.machine.actions import Deliver, Repeated
from realtime_gateway.layer.measuring import KINDS, Timed
from realtime_gateway.layer.offer import Offer
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.layer.undelivered import Delivery
from realtime_gateway.telemetry import layer_spans, recorder

log = logging.getLogger("realtime_gateway.layer")

_FULL_LOGGED_EVERY_SECONDS = 10.0
# Members served in one turn: enough to cost nothing beside their handlers, and so few that the sender's own answer,
# which is read between two slices, is not kept waiting for a millisecond.
_SLICE_MEMBERS = 64
# Members offered to the fan-out in one turn, each counted once however many messages it gets: some 5 us for each write.
_OFFERED_MEMBERS = 256
# Above so many members that wait, no more is read from Redis before they are served.
_WAITING_MEMBERS = 100_000


class Deliveries:
    """What is on its way into the mailboxes of one process.

    Args:
        state: its mailboxes, and what waits for them from one loop to the next.
        loop: whose turns the slices are served in.
        submit: takes events for the machine.
    """

    def __init__(self, state: ProcessState, loop: asyncio.AbstractEventLoop, submit: Callable[[Any], None]) -> None:
        self._state = state
        self._loop = loop
        self._submit = submit
        self._scheduled = False
        self._offered: dict[str, int] = {}  # destination → its members, of what was offered at once in this turn
        self._schedule()

    def deliver(self, action: Deliver) -> None:
        """Put a message into the mailboxes of its members, or let it wait for its turn."""
        self._deliver(action)
        self._state.own.came(action.destination)

    def _deliver(self, action: Deliver) -> None:
        state = self._state
        expires_at = action.sent_at + state.options.expiry
        if expires_at <= self._loop.time():
            drops.count("expired", len(action.channels))
            state.mailboxes.missed(action.channels)
            return
        delivery = self._open(action, expires_at)
        channels = action.channels
        if action.destination not in state.undelivered:
            if delivery.members > _SLICE_MEMBERS and self._may_offer(delivery):
                channels = self._offer(delivery, channels)
                delivery.offered = True
            if len(channels) <= _SLICE_MEMBERS:
                self._put(delivery, channels)
                self._ended(delivery)
                return
        state.undelivered.add(delivery, channels)
        while state.undelivered.members > _WAITING_MEMBERS:
            self._serve_slice()
        self._schedule()

    def _schedule(self) -> None:
        if self._state.undelivered and not self._scheduled:
            self._scheduled = True
            # After one look at the sockets: the answer to whoever sent this is there, or about to be.
            self._loop.call_soon(self._loop.call_soon, self._next_turn, context=Context())

    def _next_turn(self) -> None:
        try:
            if self._state.undelivered:
                self._serve_slice()
        finally:
            self._scheduled = bool(self._state.undelivered)
            if self._scheduled:
                self._loop.call_soon(self._next_turn, context=Context())

    def _serve_slice(self) -> None:
        deliveries, channels, done = self._state.undelivered.take(_SLICE_MEMBERS)
        for delivery in deliveries:
            try:
                self._put(delivery, channels)
            except Exception:
                # Of one message, which the others must not be missing for.
                log.exception("a message to %s could not be delivered to all", delivery.destination)
            if done:
                self._ended(delivery)

    def _open(self, action: Deliver, expires_at: float) -> Delivery:
        kind = KINDS[action.kind]
        body = self._state.serializer.body(action.body)
        delivery = Delivery(action.destination, kind, body, expires_at, len(action.channels))
        delivery.published_at = action.published_at
        if action.trace:
            span = self._span(action)
            if span is not None:
                delivery.span, delivery.body, delivery.trace = span, span.carried_by(body), action.trace
        return delivery

    def repeated(self, action: Repeated) -> None:
        """Count what was delivered before."""
        recorder.layer_duplicates.add(action.count)
        span = None if action.traced is None else self._span(action.traced)
        if span is not None:
            span.repeated()

    def _span(self, action: Deliver) -> layer_spans.Delivery | None:
        name = self._state.group_names.inside(action.destination)
        return layer_spans.deliver(action.trace, KINDS.get(action.kind, "channel"), name, action.way)

    def _put(self, delivery: Delivery, channels: Collection[str]) -> None:
        self._put_into_mailboxes(delivery, channels if delivery.offered else self._offer(delivery, channels))

    def _offer(self, delivery: Delivery, channels: Collection[str]) -> Collection[str]:
        """Return those whom the fan-out leaves to us."""
        fan_out = self._state.fan_out
        if fan_out is None:
            return channels
        others = fan_out(Offer(delivery, self._put_into_mailboxes, self._ended, self._state), channels)
        delivery.taken += len(channels) - len(others)
        return others

    def _may_offer(self, delivery: Delivery) -> bool:
        """Whether all members may be offered in this turn."""
        offered = self._offered
        members = sum(offered.values()) - offered.get(delivery.destination, 0) + delivery.members
        if self._state.fan_out is None or members > _OFFERED_MEMBERS:
            return False
        if not offered:
            self._loop.call_soon(offered.clear, context=Context())
        offered[delivery.destination] = delivery.members
        return True

    def _put_into_mailboxes(self, delivery: Delivery, channels: Collection[str]) -> None:
        if not channels:
            return  # the fan-out has taken all of them, as it does in most rooms that have it
        state, now = self._state, self._loop.time()
        get, full_channels = state.mailboxes.get, state.full_channels
        body, expires_at = delivery.body, delivery.expires_at
        timed = Timed(body, delivery.published_at, delivery.trace)
        last = len(channels) - 1
        for index, channel in enumerate(channels):
            if index == last:
                body = timed
            box = get(channel)
            if box is None:
                drops.count("no_mailbox")
            elif box.put(body, expires_at) or (box.expire(now) and box.put(body, expires_at)):
                delivery.put += 1
                items = box.items
                if items is not None and len(items) >= box.capacity and channel not in full_channels:
                    full_channels.add(channel)
                    self._submit(events.Full(channel, True))
            else:
                delivery.refused += 1

    def _ended(self, delivery: Delivery) -> None:
        if delivery.span is not None:
            delivery.span.ended(delivery.put + delivery.taken, delivery.refused)
        if delivery.put:
            recorder.layer_delivered.add(delivery.put, delivery.kind)
        if delivery.refused:
            drops.count("capacity", delivery.refused)
            self._say_that_some_were_full(delivery)

    def _say_that_some_were_full(self, delivery: Delivery) -> None:
        state, now = self._state, self._loop.time()
        if delivery.kind == "group" and now - state.full_logged_at > _FULL_LOGGED_EVERY_SECONDS:
            state.full_logged_at = now
            group = state.group_names.inside(delivery.destination)
            log.info("%s of %s channels over capacity in group %s", delivery.refused, delivery.members, group)
