"""What this process receives of each group and of its own inbox: who is a member, and what is subscribed to where.

    AWAY ──link up──▶ SUBSCRIBING ──confirmed──▶ JOINING (no position yet) ──▶ LIVE
      ▲                     └──────confirmed──▶ CATCHING_UP (read the gap from the stream) ──▶ LIVE
      └─ FINISHING (read what is left on earlier owners, one after the other) ◀── a newer host list moves it

While not live, what is pushed is held; once the gap has been read it follows, and sequence numbers per sender drop
what the stream has already brought. A link that breaks leads back to AWAY from anywhere. ``reading`` has the gaps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Entry, parse
from realtime_gateway.layer.machine.actions import Dropped, Lost, Settle, Verdict, Way
from realtime_gateway.layer.machine.continuity import goes_on
from realtime_gateway.layer.machine.follow import Follow, GapCall, Phase, Server, Span, order
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.local_members import LocalMembers, members_since
from realtime_gateway.layer.machine.memory import Memory
from realtime_gateway.layer.machine.moving import has_unknown_owners, owners_after, split
from realtime_gateway.layer.machine.reading import Links, Reading
from realtime_gateway.layer.machine.subscriptions import Subscriptions
from realtime_gateway.layer.machine.unsettled import Unsettled

# What is pushed arrives at once, or its connection is given up before this.
_LONGEST_TRAVEL_SECONDS = 10.0
_LONGEST_EXPIRY_STEP_SECONDS = 60.0


class Following:
    """The receiving half of the machine.

    Args:
        hosts: which shard owns what.
        emit: takes the actions.
        deliver: called for each entry that is new here, as ``Reading`` says.

    Attributes:
        follows: by destination.
        unsettled: those of them for which something is still to be done.
        newer_epoch: called with a shard whose entries are of a newer epoch than ours.
        live: called with each follow that became live.
    """

    def __init__(
        self,
        identity: Identity,
        limits: Limits,
        hosts: HostList,
        emit: Callable[[Any], None],
        deliver: Callable[[Follow, Entry, float, float, Way | None], None],
    ) -> None:
        self._limits = limits
        self._hosts = hosts
        self._emit = emit
        self._links = Links()
        self.told_time, self.clock_of = self._links.told_time, self._links.clock_of
        self._reading = Reading(identity, limits, self._links, emit, deliver)
        self._reading.finished, self._reading.too_new = self._finished, self._too_new
        self._reading.live = self._go_live
        self._subscriptions = Subscriptions(emit)
        self._memory = Memory(limits.memory_seconds)
        self._members = LocalMembers()
        self.groups_of = self._members.destinations_of
        self.newer_epoch: Callable[[str], None] = lambda shard: None
        self.live: Callable[[Follow], None] = lambda follow: None
        self.follows: dict[str, Follow] = {}
        self.unsettled = Unsettled()
        self._expire_at = 0.0

    # Members

    def join(self, destination: str, channel: str, ticket: int, now: float) -> None:
        """Add a member; the ticket is settled when nothing that is sent from then on is missed."""
        if self.joined(destination, channel, now):
            self._emit(Settle(ticket, Verdict.DONE))
            return
        follow = self.follows.get(destination) or self._start(destination, now)
        self._members.add(channel, destination)
        follow.waiting.append((ticket, channel, now + self._limits.send_timeout_seconds))
        self._advance(follow, now)

    def joined(self, destination: str, channel: str, now: float) -> bool:
        """Add a member where nothing that is sent from now on could be missed; else False, and nothing is done."""
        follow = self.follows.get(destination)
        if follow is None or not follow.misses_nothing:
            return False
        self._members.add(channel, destination)
        follow.admit(channel, now)
        return True

    def join_from_start(self, destination: str, now: float) -> None:
        """Follow a destination that nobody wrote to before this process existed: everything in it counts."""
        if destination in self.follows:
            return
        follow = self._start(destination, now)
        follow.members[""] = now
        follow.started = True
        self._advance(follow, now)

    def leave(self, destination: str, channel: str, now: float) -> None:
        """Take a member out; sequence numbers are remembered, since what it has seen may be sent again."""
        follow = self.follows.get(destination)
        if follow is None:
            return
        self._members.remove(channel, destination)
        follow.members.pop(channel, None)
        for ticket, joining, _ in follow.waiting:
            if joining == channel:
                self._emit(Settle(ticket, Verdict.DONE))
        follow.waiting = [one for one in follow.waiting if one[1] != channel]
        if not follow.wanted:
            self._stop(follow, now)

    def clear(self, now: float, keep: str) -> None:
        """Forget all members but those of one destination."""
        for follow in list(self.follows.values()):
            if follow.destination != keep:
                for channel in list(follow.members):
                    self.leave(follow.destination, channel, now)

    # What is where

    def is_up(self, shard: str) -> bool:
        """Whether the link to a shard is up, and fenced."""
        return shard in self._links.up

    def destinations_on(self, shard: str) -> tuple[str, ...]:
        """What is followed on a shard."""
        return tuple(follow.destination for follow in self.follows.values() if follow.shard == shard)

    def caught_up(self, shard: str) -> bool:
        """Whether everything on a shard is live."""
        return not self.unsettled.awaited_on(shard)

    def settled(self) -> bool:
        """Whether every move to the host list in use is finished."""
        return all(follow.settled for follow in self.unsettled)

    def shards_to_finish(self) -> frozenset[str]:
        """Earlier owners of which something is still to be read."""
        return frozenset(span.shard for follow in self.unsettled for span in follow.chain)

    # Links and subscriptions

    def link_up(self, shard: str, server: Server, epoch: int, server_ms: int, now: float) -> None:
        """A shard's link is up and has been fenced: subscribe to what it owns, read what is left of what it owned.

        Called again when the same link turns out to have other data, and then everything is read again.
        """
        before = self._links.up.get(shard)
        if before is not None and before.server != server:
            self.link_down(shard, now)
        self._links.note(shard, server, epoch, server_ms, now)
        wanted = []
        for follow in self.follows.values():
            if follow.shard == shard and not follow.chain and follow.phase is Phase.AWAY:
                follow.phase = Phase.SUBSCRIBING
                wanted.append(follow.destination)
            elif follow.chain and follow.chain[0].shard == shard:
                self._advance(follow, now)
            if follow.past:
                self._reading.read_past(follow)
        if wanted:
            self._subscriptions.subscribe(shard, tuple(wanted))

    def link_down(self, shard: str, since: float) -> None:
        """Nothing of the shard is live since then; what was held is in the stream."""
        self._links.up.pop(shard, None)
        self._subscriptions.link_down(shard)
        for follow in self.follows.values():
            for span in (*follow.chain, *follow.past, follow.span):
                if span.shard == shard:
                    span.reading = None
            if follow.shard == shard and not follow.chain:
                self.unsettled.not_live(follow)
                follow.take_held()
                follow.phase = Phase.AWAY
                if follow.away_since is None:
                    follow.away_since = since

    def subscribed(self, shard: str, destination: str) -> None:
        """A subscription is confirmed: find out where the stream is, or read what was missed."""
        confirmed = self._subscriptions.confirmed(shard, destination)
        follow = self.follows.get(destination)
        if not confirmed or follow is None or follow.shard != shard or follow.phase is not Phase.SUBSCRIBING:
            return
        if follow.started:
            follow.phase = Phase.CATCHING_UP
            self._reading.begin(follow, follow.span)
        else:
            follow.phase = Phase.JOINING
            self._reading.ask_for_the_end(follow)

    def _advance(self, follow: Follow, now: float) -> None:
        """Do what comes next, if the shard that it needs is within reach."""
        if follow.chain:
            follow.phase = Phase.FINISHING
            span = follow.chain[0]
            if span.waiting_since is None:
                span.waiting_since = now
            # Only behind a fence is its end the end: before, a late writer could still add to it.
            if span.reading is None and self._links.fenced_above(span):
                self._reading.begin(follow, span)
        elif follow.phase in (Phase.AWAY, Phase.FINISHING):
            follow.phase = Phase.AWAY
            if follow.shard in self._links.up:
                follow.phase = Phase.SUBSCRIBING
                self._subscriptions.subscribe(follow.shard, (follow.destination,))

    # Entries

    def pushed(self, shard: str, destination: str, payload: bytes, now: float) -> None:
        """Take one message of a subscription: a stream id, a link and an entry, with a space between."""
        follow = self.follows.get(destination)
        if follow is None or follow.span.shard != shard:
            return
        if follow.phase is not Phase.LIVE:
            follow.hold(payload)
            return
        span = follow.span
        try:
            id_end = payload.index(b" ")
            link_end = payload.index(b" ", id_end + 1)
            entry = parse(payload, link_end + 1)
            gapless = goes_on(span, payload, id_end + 1, link_end)
        except ValueError:
            self._emit(Dropped("malformed"))
            return
        newer = entry.epoch > self._hosts.epoch and self._limits.follow_hosts
        if newer or not gapless or follow.lacks_predecessor(entry):
            self._stop_at(follow, entry, payload)
            return
        age_seconds, stored_ms = entry.age_ms / 1000, order(payload[:id_end])[0]
        if now - follow.joined_at < _LONGEST_TRAVEL_SECONDS:
            # It may have been on its way since before somebody joined.
            age_seconds += self._links.clocks.seconds_since(shard, stored_ms, now)
        on_its_way_seconds = self._links.since_stored(shard, stored_ms, now)
        way = self._links.way(entry, shard, on_its_way_seconds, replayed=False) if entry.trace else None
        self._reading.take(follow, entry, age_seconds, on_its_way_seconds, way)
        span.position = payload[:id_end]

    def _stop_at(self, follow: Follow, entry: Entry, payload: bytes) -> None:
        """Read the stream before an entry that something is missing in front of, here or on an earlier owner."""
        stream_id = payload.partition(b" ")[0]
        if follow.looked_for == stream_id:
            self._emit(Dropped("malformed"))  # its stream has been read to the end since it came, and has it not
            return
        follow.hold(payload)
        self.unsettled.not_live(follow)
        if not self._too_new(follow, entry):
            follow.phase, follow.looked_for = Phase.CATCHING_UP, stream_id
            self._reading.begin(follow, follow.span)

    def _too_new(self, follow: Follow, entry: Entry) -> bool:
        """Stop before an entry of a newer epoch: what earlier owners hold has to come first."""
        if entry.epoch <= self._hosts.epoch or not self._limits.follow_hosts:
            return False
        follow.phase = Phase.CATCHING_UP
        self.newer_epoch(follow.shard)
        return True

    def replied(self, purpose: GapCall, result: Any, now: float) -> None:
        """Take the answer to a join or a read."""
        self._reading.replied(purpose, result, now)

    def _go_live(self, follow: Follow, now: float) -> None:
        follow.phase = Phase.LIVE
        self.unsettled.live(follow)
        follow.away_since = None
        for ticket, channel, _ in follow.take_joins():
            follow.admit(channel, now)
            self._emit(Settle(ticket, Verdict.DONE))
        self.live(follow)
        held = follow.take_held()
        for index, payload in enumerate(held):
            if follow.phase is not Phase.LIVE:
                for later in held[index:]:
                    follow.hold(later)
                return
            if order(payload.partition(b" ")[0]) > order(follow.span.position or b"0-0"):
                self.pushed(follow.shard, follow.destination, payload, now)

    # Host lists

    def rebase(self, hosts: HostList, now: float) -> None:
        """Use a newer host list; what it moves is read to its end on each owner, the rest reads on."""
        old, self._hosts = self._hosts, hosts
        retired_below = min((one.epoch for one in hosts.earlier), default=hosts.epoch)
        unknown = has_unknown_owners(old, hosts, took_part=self._links.met_plain)
        for follow in self.follows.values():
            follow.past = [span for span in follow.past if (span.until_epoch or 0) >= retired_below]
            if unknown and follow.started:
                self._emit(Lost((follow.destination,), "host lists were retired before this process saw them"))
            self._move(follow, old, now)

    def _move(self, follow: Follow, old: HostList, now: float) -> None:
        name = names.name_of(follow.destination)
        before = follow.span
        ended, follow.span = split(before, old.epoch, owners_after(old, self._hosts, name))
        if not ended:
            if follow.phase is Phase.CATCHING_UP and before.reading is None:
                self._reading.begin(follow, before)
            return
        before.reading = None
        self.unsettled.not_live(follow)
        if not follow.started:
            # Nobody counts on it yet: begin on the present owner.
            self._unsubscribe(follow, before.shard)
            follow.past = self._links.late_spans(self._hosts, name)
            follow.phase = Phase.AWAY
        else:
            if follow.away_since is None:
                follow.away_since = now
            follow.chain += ended
            follow.phase = Phase.FINISHING
        follow.take_held()
        self._advance(follow, now)

    def _finished(self, follow: Follow, span: Span, now: float) -> None:
        """An earlier owner has been read to its end."""
        follow.chain.remove(span)
        follow.past.append(span)
        if span.shard not in (follow.shard, *(other.shard for other in follow.chain)):
            self._unsubscribe(follow, span.shard)
        self._advance(follow, now)

    def _unsubscribe(self, follow: Follow, shard: str) -> None:
        if shard in self._links.up:
            self._subscriptions.unsubscribe(shard, follow.destination)

    # With time

    def tick(self, now: float) -> None:
        """Let memberships and memories expire; try again what was refused; look at nothing that is settled."""
        for follow in self.unsettled:
            if follow.waiting:
                self._give_up_late_joins(follow, now)
            if follow.phase is not Phase.LIVE and follow.wanted:
                self._give_up_on_owner(follow, now)
                self._advance(follow, now)
            if follow.past:
                self._reading.read_past(follow)
            elif follow.phase is Phase.LIVE:
                self.unsettled.remove(follow)
        if now >= self._expire_at:
            self._expire_at = now + min(self._limits.group_expiry_seconds / 100, _LONGEST_EXPIRY_STEP_SECONDS)
            self._expire(now - self._limits.group_expiry_seconds, now)
        self._memory.tick(self.follows.values(), now)

    def _expire(self, limit: float, now: float) -> None:
        for follow in list(self.follows.values()):
            if follow.destination[0] == names.GROUP:
                for channel in members_since(follow, limit):
                    self.leave(follow.destination, channel, now)

    def _give_up_on_owner(self, follow: Follow, now: float) -> None:
        """Go on without an earlier owner that was out of reach for as long as its history lasts."""
        if not follow.chain:
            return
        span = follow.chain[0]
        if span.waiting_since is not None and now - span.waiting_since > self._limits.history_seconds:
            self._emit(Lost((follow.destination,), f"its earlier owner {span.shard} was out of reach for too long"))
            follow.chain.pop(0)
            span.reading = None
            follow.past.append(span)

    def _give_up_late_joins(self, follow: Follow, now: float) -> None:
        for ticket, channel, _ in follow.take_joins(now):
            if channel not in follow.members:
                self._members.remove(channel, follow.destination)
            self._emit(Settle(ticket, Verdict.UNAVAILABLE, follow.shard))
        if not follow.wanted:
            self._stop(follow, now)

    # Beginning and end

    def _start(self, destination: str, now: float) -> Follow:
        name = names.name_of(destination)
        span = Span(self._hosts.owner(name).name, self._hosts.epoch)
        follow = self.follows[destination] = Follow(destination, span, now)
        self.unsettled.not_live(follow)
        follow.past = self._links.late_spans(self._hosts, name)
        self._memory.recall(follow)
        return follow

    def _stop(self, follow: Follow, now: float) -> None:
        self.follows.pop(follow.destination, None)
        self.unsettled.remove(follow)
        for shard in follow.subscribed_on():
            self._unsubscribe(follow, shard)
        for span in (*follow.chain, *follow.past, follow.span):
            span.reading = None
        self._memory.keep(follow, now)
