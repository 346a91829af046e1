"""What this process receives of each group and of its own inbox: from where on, in order, nothing twice.

    AWAY ──link up──▶ SUBSCRIBING ──confirmed──▶ JOINING (no position yet) ──▶ LIVE
                            └──────confirmed──▶ CATCHING_UP (read the gap from the stream) ──▶ LIVE

While not live, what is pushed is held; once the gap has been read it follows, and sequence numbers per sender drop
what the stream has already brought. A link that breaks leads back to AWAY from anywhere. When a newer host list moves
a destination, what is left on the old owner is read first (FINISHING), then the new owner is subscribed to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Entry, EnvelopeInvalid, parse
from realtime_gateway.layer.machine.actions import (
    Call,
    Dropped,
    Lost,
    Repeated,
    Settle,
    Subscribe,
    Unsubscribe,
    Verdict,
)
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.follow import Follow, GapCall, Phase, order
from realtime_gateway.layer.machine.limits import Identity, Limits

# What one read returns at most, so that it holds neither side up.
_PAGE_ENTRIES, _PAGE_BYTES = 500, 4 * 1024 * 1024


class Following:
    """The receiving half of the machine.

    Args:
        deliver: called with (follow, entry, age in seconds) for each entry that is new here.

    Attributes:
        newer_epoch: called with a shard whose entries are of a newer epoch than ours.
        live: called with each follow that became live.
    """

    def __init__(
        self,
        identity: Identity,
        limits: Limits,
        hosts: HostList,
        emit: Callable[[Any], None],
        deliver: Callable[[Follow, Entry, float], None],
    ) -> None:
        self._identity = identity
        self._limits = limits
        self._hosts = hosts
        self._emit = emit
        self._deliver = deliver
        self._links: dict[str, str] = {}  # shard → run id, while its link is up
        self._unconfirmed: dict[tuple[str, str], int] = {}
        self._departed: dict[str, Follow] = {}
        self._rotated_at: float | None = None
        self.newer_epoch: Callable[[str], None] = lambda shard: None
        self.live: Callable[[Follow], None] = lambda follow: None
        self._groups: dict[str, set[str]] = {}  # channel → the destinations it is in or is about to be in
        self.follows: dict[str, Follow] = {}

    # Members

    def join(self, destination: str, channel: str, ticket: int, now: float) -> None:
        """Add a member; the ticket is settled when nothing that is sent from then on is missed."""
        follow = self.follows.get(destination) or self._start(destination, now)
        self._groups.setdefault(channel, set()).add(destination)
        if follow.phase is Phase.LIVE:
            # The newest stands last, so the first is the first to expire.
            follow.members.pop(channel, None)
            follow.members[channel] = now
            self._emit(Settle(ticket, Verdict.DONE))
            return
        follow.waiting.append((ticket, channel, now + self._limits.send_timeout_seconds))
        if follow.phase is Phase.AWAY and follow.shard in self._links:
            self._subscribe(follow)

    def join_from_start(self, destination: str, now: float) -> None:
        """Follow a destination that nobody wrote to before this process existed: everything in it counts."""
        if destination in self.follows:
            return
        follow = self._start(destination, now)
        follow.members[""] = now
        follow.read_whole = True
        if follow.shard in self._links:
            self._subscribe(follow)

    def leave(self, destination: str, channel: str, now: float) -> None:
        """Take a member out; sequence numbers are remembered, since what it has seen may be sent again."""
        follow = self.follows.get(destination)
        if follow is None:
            return
        self._not_in(channel, destination)
        follow.members.pop(channel, None)
        for ticket, joining, _ in follow.waiting:
            if joining == channel:
                self._emit(Settle(ticket, Verdict.DONE))
        follow.waiting = [one for one in follow.waiting if one[1] != channel]
        if not follow.wanted:
            self._stop(follow, now)

    def _not_in(self, channel: str, destination: str) -> None:
        groups = self._groups.get(channel)
        if groups is not None:
            groups.discard(destination)
            if not groups:
                del self._groups[channel]

    def clear(self, now: float, keep: str) -> None:
        """Forget all members but those of one destination."""
        for follow in list(self.follows.values()):
            if follow.destination != keep:
                for channel in list(follow.members):
                    self.leave(follow.destination, channel, now)

    def groups_of(self, channel: str) -> list[str]:
        """Every destination that a channel is in, or is about to be."""
        return list(self._groups.get(channel, ()))

    def is_up(self, shard: str) -> bool:
        """Whether the link to a shard is up."""
        return shard in self._links

    def destinations_on(self, shard: str) -> tuple[str, ...]:
        """What is followed on a shard."""
        return tuple(follow.destination for follow in self.follows.values() if follow.shard == shard)

    def caught_up(self, shard: str) -> bool:
        """Whether everything on a shard is live."""
        return all(follow.phase is Phase.LIVE for follow in self.follows.values() if follow.shard == shard)

    # Links and subscriptions

    def link_up(self, shard: str, run_id: str) -> None:
        """Subscribe to everything that the shard owns."""
        self._links[shard] = run_id
        wanted = [follow for follow in self.follows.values() if follow.shard == shard]
        for follow in wanted:
            follow.phase = Phase.SUBSCRIBING
            self._expect(shard, follow.destination)
        if wanted:
            self._emit(Subscribe(shard, tuple(follow.destination for follow in wanted)))

    def link_down(self, shard: str) -> None:
        """Nothing of the shard is live; what was held is in the stream."""
        self._links.pop(shard, None)
        for key in [key for key in self._unconfirmed if key[0] == shard]:
            del self._unconfirmed[key]
        for follow in self.follows.values():
            if follow.shard == shard:
                was_finishing = follow.phase is Phase.FINISHING
                follow.take_held()
                follow.phase, follow.reading = Phase.AWAY, None
                if was_finishing:
                    self._move_on(follow)

    def subscribed(self, shard: str, destination: str) -> None:
        """A subscription is confirmed: find out where the stream is, or read what was missed."""
        key = (shard, destination)
        outstanding = self._unconfirmed.get(key, 0) - 1
        if outstanding > 0:
            self._unconfirmed[key] = outstanding
            return
        self._unconfirmed.pop(key, None)
        follow = self.follows.get(destination)
        if follow is None or follow.shard != shard or follow.phase is not Phase.SUBSCRIBING:
            return
        if follow.position is None and not follow.read_whole:
            follow.phase = Phase.JOINING
            self._call(follow, "join", ())
        else:
            self._catch_up(follow)

    # Entries

    def pushed(self, shard: str, destination: str, payload: bytes) -> None:
        """Take one message of a subscription: a stream id, a space, and an entry."""
        follow = self.follows.get(destination)
        if follow is None or follow.shard != shard:
            return
        if follow.phase is not Phase.LIVE:
            follow.hold(payload)
            return
        try:
            space = payload.index(b" ")
            entry = parse(payload, space + 1)
        except ValueError:
            self._emit(Dropped("malformed"))
            return
        if entry.epoch > self._hosts.epoch and self._too_new(follow, entry):
            follow.hold(payload)
            return
        if follow.lacks_predecessor(entry):
            # A predecessor was never pushed here. The stream has it, unless it is lost.
            follow.hold(payload)
            self._catch_up(follow)
            return
        self._take(follow, entry, entry.age_ms / 1000)
        follow.position = payload[:space]

    def replied(self, purpose: GapCall, result: Any, now: float) -> None:
        """Take the answer to a join or a read."""
        follow = purpose.follow
        if follow.reading is not purpose:
            return
        follow.reading = None
        if isinstance(result, Refusal):
            # Tried again with the next link; the reason reaches the callers when their time is up.
            self._emit(Dropped("read_refused"))
            follow.phase = Phase.AWAY
        elif follow.phase is Phase.JOINING:
            self._joined(follow, purpose, result, now)
        elif follow.phase in (Phase.CATCHING_UP, Phase.FINISHING):
            self._read(follow, purpose, result, now)

    def tick(self, now: float) -> None:
        """Let memberships and memories expire; try again what was refused."""
        limit = now - self._limits.group_expiry_seconds
        for follow in list(self.follows.values()):
            while follow.members and follow.destination[0] == names.GROUP:
                channel, since = next(iter(follow.members.items()))
                if since > limit:
                    break
                self.leave(follow.destination, channel, now)
            if follow.waiting:
                self._give_up_late_joins(follow, now)
            if follow.phase is Phase.AWAY and follow.shard in self._links and follow.wanted:
                self._subscribe(follow)
        self._forget(now)

    def _give_up_late_joins(self, follow: Follow, now: float) -> None:
        late = [one for one in follow.waiting if one[2] <= now]
        if not late:
            return
        follow.waiting = [one for one in follow.waiting if one[2] > now]
        for ticket, channel, _ in late:
            if channel not in follow.members:
                self._not_in(channel, follow.destination)
            self._emit(Settle(ticket, Verdict.UNAVAILABLE, follow.shard))
        if not follow.wanted:
            self._stop(follow, now)

    def _forget(self, now: float) -> None:
        if self._rotated_at is None:
            self._rotated_at = now
        elif now - self._rotated_at > self._limits.memory_seconds:
            self._rotated_at = now
            for follow in self.follows.values():
                follow.rotate()
            memory = now - self._limits.memory_seconds
            self._departed = {name: gone for name, gone in self._departed.items() if gone.seen_at > memory}

    def rebase(self, hosts: HostList) -> None:
        """Use a newer host list; destinations with another owner move there, the rest reads on."""
        self._hosts = hosts
        for follow in self.follows.values():
            owner = hosts.owner(names.name_of(follow.destination)).name
            if owner != follow.shard:
                if follow.phase is Phase.AWAY or follow.position is None:
                    self._move_on(follow)
                else:
                    follow.phase = Phase.FINISHING
                    self._call_read(follow)
            elif follow.phase is Phase.CATCHING_UP and follow.reading is None:
                self._catch_up(follow)

    # Inside

    def _start(self, destination: str, now: float) -> Follow:
        owner = self._hosts.owner(names.name_of(destination)).name
        follow = self.follows[destination] = Follow(destination, owner, now)
        gone = self._departed.pop(destination, None)
        if gone is not None:
            # Only against repetition: what was sent while nobody was here is no gap.
            follow.marks_before = {**gone.marks_before, **gone.marks}
        return follow

    def _stop(self, follow: Follow, now: float) -> None:
        self.follows.pop(follow.destination, None)
        follow.reading = None
        if follow.marks or follow.marks_before:
            follow.seen_at = now
            follow.take_held()
            self._departed[follow.destination] = follow
        if follow.phase is not Phase.AWAY:
            self._emit(Unsubscribe(follow.shard, (follow.destination,)))

    def _expect(self, shard: str, destination: str) -> None:
        key = (shard, destination)
        self._unconfirmed[key] = self._unconfirmed.get(key, 0) + 1

    def _subscribe(self, follow: Follow) -> None:
        follow.phase = Phase.SUBSCRIBING
        self._expect(follow.shard, follow.destination)
        self._emit(Subscribe(follow.shard, (follow.destination,)))

    def _call(self, follow: Follow, script: str, arguments: tuple[str | int, ...]) -> None:
        purpose = follow.reading = GapCall(follow, self._links[follow.shard])
        keys = (self._identity.names.epoch, self._identity.names.key(follow.destination))
        self._emit(Call(follow.shard, script, keys, arguments, purpose))

    def _catch_up(self, follow: Follow) -> None:
        follow.phase = Phase.CATCHING_UP
        if follow.position is None or follow.position_run_id != self._links[follow.shard]:
            # Another server may have used the same ids again, or lack the newest: everything is read again.
            follow.position, follow.read_whole = None, True
        self._call_read(follow)

    def _call_read(self, follow: Follow) -> None:
        start = "-" if follow.position is None else f"({follow.position.decode()}"
        self._call(follow, "read", (start, _PAGE_ENTRIES, _PAGE_BYTES))

    def _joined(self, follow: Follow, purpose: GapCall, result: Any, now: float) -> None:
        follow.position, follow.position_run_id = result[1], purpose.run_id
        after = order(result[1])
        held = follow.take_held()
        follow.held = [payload for payload in held if order(payload.partition(b" ")[0]) > after]
        self._go_live(follow, now)

    def _read(self, follow: Follow, purpose: GapCall, result: Any, now: float) -> None:
        _, server_ms, more, page = result
        for stream_id, raw in page:
            follow.position, follow.position_run_id = stream_id, purpose.run_id
            try:
                entry = parse(raw)
            except EnvelopeInvalid:
                self._emit(Dropped("malformed"))
                continue
            self._check_chain(follow, entry)
            self._take(follow, entry, (entry.age_ms + max(int(server_ms) - order(stream_id)[0], 0)) / 1000)
        if more:
            self._call_read(follow)
        elif follow.phase is Phase.FINISHING:
            self._emit(Unsubscribe(follow.shard, (follow.destination,)))
            self._move_on(follow)
        elif follow.overflowed:
            follow.overflowed = False
            self._call_read(follow)
        else:
            if follow.position is None:
                follow.position, follow.position_run_id = b"0-0", purpose.run_id
            self._go_live(follow, now)

    def _go_live(self, follow: Follow, now: float) -> None:
        follow.phase, follow.read_whole = Phase.LIVE, False
        for ticket, channel, _ in follow.waiting:
            follow.members.pop(channel, None)
            follow.members[channel] = now
            self._emit(Settle(ticket, Verdict.DONE))
        follow.waiting = []
        held = follow.take_held()
        for index, payload in enumerate(held):
            stream_id, _, raw = payload.partition(b" ")
            try:
                entry = parse(raw)
            except EnvelopeInvalid:
                self._emit(Dropped("malformed"))
                continue
            if self._too_new(follow, entry):
                for later in held[index:]:
                    follow.hold(later)
                return
            self._check_chain(follow, entry)
            self._take(follow, entry, entry.age_ms / 1000)
            follow.position = stream_id
        self.live(follow)

    def _too_new(self, follow: Follow, entry: Entry) -> bool:
        """Stop before an entry of a newer epoch: what earlier owners hold has to come first."""
        if entry.epoch <= self._hosts.epoch or not self._limits.follow_hosts:
            return False
        follow.phase = Phase.CATCHING_UP
        self.newer_epoch(follow.shard)
        return True

    def _move_on(self, follow: Follow) -> None:
        follow.shard = self._hosts.owner(names.name_of(follow.destination)).name
        follow.phase, follow.read_whole = Phase.AWAY, follow.position is not None or follow.read_whole
        follow.position, follow.reading = None, None
        follow.take_held()
        if follow.shard in self._links:
            self._subscribe(follow)

    def _check_chain(self, follow: Follow, entry: Entry) -> None:
        if follow.lacks_predecessor(entry):
            self._emit(Lost((follow.destination,), "a sender's message before this one is missing"))

    def _take(self, follow: Follow, entry: Entry, age_seconds: float) -> None:
        if follow.first_time(entry.sender, entry.sequence):
            self._deliver(follow, entry, age_seconds)
        else:
            self._emit(Repeated())
