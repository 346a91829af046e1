"""What the layer's figures come from: how long messages take, and what waits where once a second.

    sender's send ──▶ acknowledged by a shard                          layer_publish_seconds
    sender's send ──────▶ stored ──▶ pushed here ──▶ with the sockets  delivery_seconds{way="direct"}
                                               └───▶ in its consumer   delivery_seconds{way="mailbox"}

A message carries how long its sender held it, and its stream id the time of the shard's clock; what that clock shows
is estimated from the answers to heartbeats, half-way between question and answer (``machine.clocks``). What is left out
is the way from the sender to the shard, which is half of a round trip. Stream ids count milliseconds, and so does
uvloop's clock: below some 2 ms these figures are coarse.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from time import monotonic
from typing import TYPE_CHECKING, Any

from realtime_gateway.layer.envelope import Kind
from realtime_gateway.layer.machine.actions import Acknowledged, HandOver
from realtime_gateway.layer.mailboxes import Body
from realtime_gateway.telemetry import kept, recorder
from realtime_gateway.telemetry.kept import SLOW_SECONDS
from realtime_gateway.telemetry.spans import DESTINATION_KIND

if TYPE_CHECKING:
    from realtime_gateway.layer.process_state import ProcessState

# By number: an enum member made of each message costs a microsecond.
KINDS: dict[int, str] = {Kind.GROUP: "group", Kind.CHANNEL: "channel", Kind.QUEUED: "queue"}


class Timed:
    """A body that says when a consumer takes it: that of the last member of each slice of a delivery.

    Args:
        body: the message.
        published_at: when its sender sent it, by this process's monotonic clock.
        trace: the bytes that carry its context where its trace is recorded.
    """

    __slots__ = ("_body", "_published_at", "_trace")

    def __init__(self, body: Body, published_at: float, trace: bytes) -> None:
        self._body = body
        self._published_at = published_at
        self._trace = trace

    def decode(self) -> dict[str, Any]:
        """Return a dict that nobody else has."""
        delivered("mailbox", self._published_at, self._trace)
        return self._body.decode()


def delivered(way: str, published_at: float, trace: bytes) -> None:
    """A message has come to where this process has it going."""
    seconds = monotonic() - published_at
    if seconds > SLOW_SECONDS and not trace:
        trace = kept.slow("slow delivery", seconds, {"realtime_gateway.way": way})
    recorder.delivery_seconds.observe(seconds if seconds > 0 else 0.0, way, trace)


def acknowledged(action: Acknowledged, now: float) -> None:
    """A shard has stored messages; what the layer says to itself is not counted."""
    for item in action.first:
        kind = KINDS.get(item.kind)
        if kind is not None:
            recorder.layer_published.add(1, kind)
            seconds, trace = now - item.first_at, item.trace
            if seconds > SLOW_SECONDS and not trace:
                trace = kept.slow("slow publish", seconds, {DESTINATION_KIND: kind})
            recorder.layer_publish_seconds.observe(seconds, kind, trace)
    if action.again:
        recorder.layer_resent.add(action.again)


def handed_over(action: HandOver, expiry_seconds: float, now: float) -> None:
    """A receiver gets a message from a queue, whose shard has told its age."""
    waited, trace = expiry_seconds - (action.expires_at - now), action.trace
    if waited > SLOW_SECONDS and not trace:
        trace = kept.slow("slow queue", waited, {DESTINATION_KIND: "queue"})
    recorder.layer_queue_wait_seconds.observe(max(0.0, waited), trace=trace)


def look(state: ProcessState, open_shards: Collection[str], now: float) -> None:
    """Set the gauges of what this process has at this moment."""
    machine, waiting = state.machine, recorder.layer_waiting
    lanes = machine.publishing.lanes.values()
    in_flight = [item for lane in lanes if lane.in_flight is not None for item in lane.in_flight.items]
    waiting.set(sum(len(lane.queue) for lane in lanes), "unsent")
    waiting.set(len(in_flight), "in_flight")
    waiting.set(sum(len(lane.retained) for lane in lanes), "kept")
    waiting.set(state.undelivered.members, "turn")
    waiting.set(state.mailboxes.messages(), "mailbox")
    recorder.layer_waiting_bytes.set(sum(lane.queue_bytes for lane in lanes), "unsent")
    recorder.layer_waiting_bytes.set(sum(lane.retained_bytes for lane in lanes), "kept")
    heads = [*in_flight, *(lane.queue[0] for lane in lanes if lane.queue)]
    recorder.layer_oldest.set(max(0.0, now - min((item.first_at for item in heads), default=now)))
    recorder.layer_mailboxes.set(len(state.mailboxes))
    catching_up = machine.following.unsettled.awaited
    recorder.layer_groups.set(len(machine.following.follows) - catching_up, "live")
    recorder.layer_groups.set(catching_up, "catching_up")
    recorder.layer_epoch.set(machine.epochs.hosts.epoch)
    recorder.layer_epoch_settled.set(machine.reported_epoch)
    _look_at_shards(state, open_shards, now)


def _look_at_shards(state: ProcessState, open_shards: Collection[str], now: float) -> None:
    machine = state.machine
    names = [shard.name for shard in machine.epochs.shards_in_use().shards]
    for family in (recorder.layer_shard_up, recorder.layer_clock_offset, recorder.layer_clock_error):
        family.keep(names)
    wall_ahead = time.time() - now
    for name in names:
        recorder.layer_shard_up.set(int(name in open_shards), name)
        recorder.layer_failovers.add(0, name)
        clock = machine.following.clock_of(name)
        if clock is not None:
            recorder.layer_clock_offset.set(clock[0] - wall_ahead, name)
            recorder.layer_clock_error.set(clock[1], name)
