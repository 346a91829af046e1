"""One process's whole state: takes an event, lets the parts decide, returns what is to be done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Entry, Kind
from realtime_gateway.layer.machine import events
from realtime_gateway.layer.machine.actions import (
    Adopted,
    Call,
    Deliver,
    Disconnected,
    HostsRefused,
    Lost,
    Reconnected,
    Redial,
    Settle,
    Verdict,
    Way,
)
from realtime_gateway.layer.machine.carrying import CarryCall, Carrying
from realtime_gateway.layer.machine.clocks import AGE_ERROR_SECONDS
from realtime_gateway.layer.machine.epochs import Epochs, FenceCall
from realtime_gateway.layer.machine.follow import Follow, GapCall, Phase, Server
from realtime_gateway.layer.machine.following import Following
from realtime_gateway.layer.machine.lane import BatchSent, nothing_waits
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.membership import LeaseCall, MemberCall, Membership
from realtime_gateway.layer.machine.passing import DEMOTED
from realtime_gateway.layer.machine.publishing import Publishing
from realtime_gateway.layer.machine.queues import PopCall, Queues
from realtime_gateway.layer.machine.taken import PutBackCall

_HEARTBEAT_SECONDS = 2.5
_LEASE_SECONDS = 30
# Renewed every second while the mailbox stays full, so it outlives a renewal that comes a little late.
_FULL_MS = 2000


class HeartbeatCall(NamedTuple):
    """The purpose of a heartbeat."""

    asked_at: float


class ProcessMachine:
    """Events in, actions out.

    Args:
        identity: who this process is.
        limits: what it works within.
        hosts: the list to start with.
        word: a random word for data sets that have none.
    """

    def __init__(self, identity: Identity, limits: Limits, hosts: HostList, word: str) -> None:
        self._identity = identity
        self._limits = limits
        self._actions: list[Any] = []
        self._now = 0.0
        self._description = "{}"
        self._beat_at: dict[str, float] = {}
        self._interrupted: dict[str, set[str]] = {}  # shard → what was lost on it since it went
        self._followed_on: dict[str, tuple[str, ...]] = {}  # shard → what was followed on it when it went
        self._been_up: set[str] = set()
        self._run_ids: dict[str, str] = {}
        self._data_sets: dict[str, str] = {}  # shard → the word of what it holds, as its last fence told
        self._heard_at: dict[str, float] = {}  # shard → its last answer
        self._lost: dict[str, set[str]] = {}  # shard → what was lost on it without an interruption, not told yet
        # Whoever starts in the middle of a move has a share in it as well.
        self.reported_epoch = hosts.earlier[-1].epoch if hosts.earlier else hosts.epoch
        self._trouble: dict[str, str] = {}  # shard → why it is out of reach
        self._own_inbox = names.inbox(identity.process)
        self.publishing = Publishing(identity, limits, hosts, self._emit, self._heard)
        self.following = Following(identity, limits, hosts, self._emit, self._deliver)
        self.epochs = Epochs(identity, limits, hosts, word, self._emit)
        self.queues = Queues(identity, limits, hosts, self._emit)
        self.membership = Membership(identity, limits, hosts, self._emit)
        self.following.newer_epoch = self._ask_for_hosts
        self.following.live = self._became_live
        self.carrying = Carrying(identity, limits, self._emit)
        self.carrying.done = self.epochs.advance
        self.epochs.busy = lambda target: self.carrying.busy(target, self._now)
        self.epochs.unused = lambda: not self.following.follows and nothing_waits(self.publishing.lanes)
        self.epochs.answered = self._fence_answered
        self.epochs.ready = self._link_fenced
        self.epochs.adopting = self.publishing.pause
        self.epochs.adopted = self._adopt
        self.epochs.invalid = lambda reason: self._emit(HostsRefused(reason))
        self.membership.publish = self._publish_request
        self.membership.news = self._heard
        self._routes: dict[type, Callable[[Any], None]] = {
            events.Publish: self._on_publish,
            events.Pushed: self._on_pushed,
            events.TurnEnded: lambda _: self.publishing.turn_ended(self._now),
            events.Replied: self._on_replied,
            events.Subscribed: self._on_subscribed,
            events.LinkUp: self._on_link_up,
            events.LinkDown: self._on_link_down,
            events.LinkRefused: self._on_link_refused,
            events.Join: self._on_join,
            events.Leave: self._on_leave,
            events.Gone: self._on_gone,
            events.Listen: lambda _: self.following.join_from_start(self._own_inbox, self._now),
            events.Wanted: lambda e: self.queues.wanted(e.channel, e.receivers, self._now),
            events.Consumed: lambda e: self.queues.consumed(e.number, self._now),
            events.Unwanted: lambda e: self.queues.unwanted(e.number),
            events.Learned: lambda e: self.epochs.learn(e.hosts, e.where),
            events.KeysChanged: lambda _: self._look_at_signatures(),
            events.Flushed: lambda _: self._on_flushed(),
            events.Answer: self._on_answer,
            events.Described: self._on_described,
            events.Full: self._on_full,
            events.Tick: lambda _: self._tick(),
        }
        self._purposes: dict[type, Callable[[str, Any, Any], None]] = {
            BatchSent: lambda shard, purpose, result: self.publishing.replied(shard, purpose, result, self._now),
            GapCall: lambda _, purpose, result: self.following.replied(purpose, result, self._now),
            FenceCall: self.epochs.replied,
            CarryCall: lambda shard, purpose, result: self.carrying.replied(shard, purpose, result, self._now),
            PopCall: lambda _, purpose, result: self.queues.replied(purpose, result, self._now),
            PutBackCall: lambda _, purpose, result: self.queues.put_back(purpose, result),
            MemberCall: lambda shard, purpose, result: self.membership.replied(shard, purpose, result, self._now),
            LeaseCall: lambda shard, purpose, result: self.membership.replied(shard, purpose, result, self._now),
            HeartbeatCall: self._on_heartbeat,
        }

    def handle(self, event: Any, now: float) -> list[Any]:
        """Return what is to be done, in order.

        Args:
            event: one of ``machine.events``.
            now: seconds of a monotonic clock.
        """
        self._now = now
        self._routes[type(event)](event)
        actions, self._actions = self._actions, []
        return actions

    def sequence_seen(self, destination: str) -> int:
        """The highest sequence number of this process's own that has come back to it from a destination."""
        follow = self.following.follows.get(destination)
        sender = self._identity.sender
        if follow is None:
            return 0
        return follow.marks.get(sender, follow.marks_before.get(sender, 0))

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest message of this process."""
        return self.publishing.sequence

    def _emit(self, action: Any) -> None:
        if type(action) is Lost:
            for destination in action.destinations:
                follow = self.following.follows.get(destination)
                shard = "" if follow is None else follow.shard
                told_later = self._interrupted if shard in self._interrupted else self._lost
                told_later.setdefault(shard, set()).add(destination)
        elif type(action) is Settle and action.verdict is Verdict.UNAVAILABLE and not action.detail:
            action = action._replace(detail=self._trouble.get(action.shard, ""))
        self._actions.append(action)

    # From the layer's users

    def _on_publish(self, event: events.Publish) -> None:
        self.publishing.publish(event, self._now)

    def _on_join(self, event: events.Join) -> None:
        if event.own:
            self.following.join(names.group(event.group), event.channel, event.ticket, self._now)
        elif names.process_of(event.channel) is None:
            self.membership.change_normal(event, self._now)
        else:
            self.membership.ask(event, self._now)

    def _on_leave(self, event: events.Leave) -> None:
        if event.own:
            self.following.leave(names.group(event.group), event.channel, self._now)
        elif names.process_of(event.channel) is None:
            self.membership.change_normal(event, self._now)
        else:
            self.membership.ask(event, self._now)

    def _on_gone(self, event: events.Gone) -> None:
        groups = self.following.groups_of(event.channel)
        for destination in groups:
            self.following.leave(destination, event.channel, self._now)
        self.queues.gone(event.channel, self._now)

    def _on_flushed(self) -> None:
        self.following.clear(self._now, keep=self._own_inbox)
        self.queues.taken.clear()

    def _on_answer(self, event: events.Answer) -> None:
        self.membership.answer(event.asker, event.number, Verdict.DONE if event.done else Verdict.OWNER_GONE)

    def _on_described(self, event: events.Described) -> None:
        self._description = event.text

    def _on_full(self, event: events.Full) -> None:
        shard = self.publishing.lane_of(self._own_inbox).shard
        milliseconds = _FULL_MS if event.full else 0
        self._emit(Call(shard, "full", (self._identity.names.full(event.channel),), (milliseconds,), None))

    def _publish_request(self, event: events.Publish) -> None:
        self.publishing.publish(event, self._now)
        self.publishing.turn_ended(self._now)

    # From the shards

    def _on_link_up(self, event: events.LinkUp) -> None:
        shard = event.shard
        self._been_up.add(shard)
        self._trouble.pop(shard, None)
        self._run_ids[shard] = event.run_id
        self._heard_at[shard] = self._now
        self.publishing.link_up(shard)
        self.epochs.link_up(shard)
        self.queues.link_up(shard, self._now)
        self.membership.link_up(shard)
        self._beat(shard)

    def _on_link_refused(self, event: events.LinkRefused) -> None:
        self._trouble[event.shard] = event.reason
        self.publishing.link_down(event.shard, event.reason, refused=event.reason)

    def _on_link_down(self, event: events.LinkDown) -> None:
        shard = event.shard
        self._trouble[shard] = event.reason
        if shard not in self.epochs.needed():
            self._been_up.discard(shard)  # it has left in order: nobody misses it
        elif shard in self._been_up and shard not in self._interrupted:
            self._interrupted[shard] = set()
            self._followed_on[shard] = self.following.destinations_on(shard)
            self._emit(Disconnected(shard, self._followed_on[shard], event.reason))
        self.publishing.link_down(shard, event.reason)
        self.following.link_down(shard, self._heard_at.get(shard, self._now))
        self.queues.link_down(shard)
        self.membership.link_down(shard)
        self.carrying.link_down(shard, self._now)
        self.epochs.link_down(shard)

    def _fence_answered(self, shard: str, epoch: int, data_set: str, server_ms: int) -> None:
        server = Server(self._run_ids[shard], data_set)
        self._data_sets[shard] = data_set
        self.publishing.server_known(shard, server, self._now)
        self.following.link_up(shard, server, epoch, server_ms, self._now)
        self.carrying.fenced(shard, server, epoch, self.epochs.present, self._now)
        self._report_return(shard)

    def _link_fenced(self, shard: str, epoch: int) -> None:
        self.publishing.fenced(shard, epoch, self._now)
        self.membership.fenced(shard, epoch)

    def _on_pushed(self, event: events.Pushed) -> None:
        shard, destination, payload = event
        if destination[0] == names.QUEUE:
            self.queues.woken(destination, self._now)
        elif destination == names.CONTROL:
            self.epochs.learn_document(payload, f"the control channel of shard {shard}")
        else:
            self.following.pushed(shard, destination, payload, self._now)

    def _on_subscribed(self, event: events.Subscribed) -> None:
        if event.destination[0] == names.QUEUE:
            # What was queued between the look and this was announced to nobody here.
            self.queues.woken(event.destination, self._now)
        else:
            self.following.subscribed(event.shard, event.destination)

    def _on_replied(self, event: events.Replied) -> None:
        shard, purpose, result = event
        self._heard_at[shard] = self._now
        if isinstance(result, events.Refusal) and result.code in DEMOTED:
            # Whatever the call was: whoever follows this server now hears nothing any more.
            self._emit(Redial(shard, result.text))
        route = self._purposes.get(type(purpose))
        if route is not None:
            route(shard, purpose, result)

    def _on_heartbeat(self, shard: str, purpose: HeartbeatCall, result: Any) -> None:
        if isinstance(result, events.Refusal):
            return
        other_data = result[3].decode() != self._data_sets.get(shard)
        if not other_data:
            self.publishing.contact(shard, self._now)
        self.following.told_time(shard, int(result[2]), self._now, self._now - purpose.asked_at)
        epoch, document = int(result[0]), result[1]
        if epoch > self.epochs.present.epoch:
            self.epochs.learn_document(document, f"shard {shard}")
        elif epoch < self.epochs.present.epoch or other_data:
            # Other data on the same link: somebody has emptied it, and whoever was cut off lacks what was in it.
            self.epochs.outdated(shard)

    def _heard(self, shard: str, epoch: int, document: bytes | None) -> None:
        """A script was refused: the shard is newer (it sent its document) or older (None)."""
        if document is None or not self._limits.follow_hosts or epoch <= self.epochs.present.epoch:
            self.epochs.outdated(shard)
        else:
            self.epochs.learn_document(document, f"shard {shard}")

    def _look_at_signatures(self) -> None:
        """Whoever starts with the new keys alone must find lists that are signed with them."""
        for shard in self.epochs.reachable():
            self.epochs.outdated(shard)

    def _ask_for_hosts(self, shard: str) -> None:
        self._beat_at.pop(shard, None)
        self._beat(shard)

    def _adopt(self, hosts: HostList) -> None:
        self.following.rebase(hosts, self._now)
        self.epochs.finish(self.following.shards_to_finish())
        self.queues.rebase(hosts, self._now)
        self.membership.rebase(hosts)
        self.publishing.rebase(hosts, self._now)
        self._emit(Adopted(hosts))

    def _became_live(self, follow: Follow) -> None:
        if self._interrupted:
            self._report_return(follow.shard)

    def _report_return(self, shard: str) -> None:
        if shard in self._interrupted and self.following.is_up(shard) and self.following.caught_up(shard):
            lost = self._interrupted.pop(shard)
            del self._followed_on[shard]
            self._emit(Reconnected(shard, self.following.destinations_on(shard), tuple(sorted(lost))))

    def _report_replaced(self) -> None:
        """A shard that was out of reach owns nothing any more, and nothing is left to be read of it: that is over."""
        needed = self.epochs.needed()
        for shard in [shard for shard in self._interrupted if shard not in needed]:
            lost, followed = self._interrupted.pop(shard), self._followed_on.pop(shard)
            here = tuple(destination for destination in followed if destination in self.following.follows)
            for elsewhere in self._lost.values():
                lost |= elsewhere.intersection(here)
            self._emit(Reconnected(shard, here, tuple(sorted(lost))))

    def _report_losses(self) -> None:
        """Tell of what was lost without an interruption that a Reconnected would tell of."""
        losses, self._lost = self._lost, {}
        for shard, destinations in losses.items():
            lost = tuple(sorted(destinations))
            self._emit(Reconnected(shard, lost, lost))

    def _deliver(
        self, follow: Follow, entry: Entry, age_seconds: float, on_its_way_seconds: float, way: Way | None
    ) -> None:
        sent_at = self._now - age_seconds
        times = sent_at, self._now - entry.age_ms / 1000 - on_its_way_seconds
        if entry.kind == Kind.GROUP:
            members, latest = follow.members, sent_at + AGE_ERROR_SECONDS
            if follow.joined_at > latest or follow.phase is not Phase.LIVE:
                # Whoever joined after it was sent for the first time does not get it, nor whoever is let in when what
                # is being read has come to its end.
                members = {channel: since for channel, since in members.items() if since <= latest}
            self._emit(Deliver(members, Kind.GROUP, follow.destination, entry.trace, entry.body, *times, way))
        elif entry.kind == Kind.CHANNEL:
            channels, destination = (entry.channel,), follow.destination
            self._emit(Deliver(channels, Kind.CHANNEL, destination, entry.trace, entry.body, *times, way))
        else:
            self.membership.received(entry, self._now)

    # With time

    def _tick(self) -> None:
        now = self._now
        self.publishing.tick(now)
        self.following.tick(now)
        self.queues.tick(now)
        self.membership.tick(now)
        self.carrying.tick(now)
        self.epochs.tick(now)
        self.epochs.finish(self.following.shards_to_finish())
        hosts = self.epochs.hosts
        finished = self.following.settled() and self.epochs.settled()
        if self.reported_epoch != hosts.epoch and finished and self.carrying.settled(hosts, now):
            # To report an epoch means that all moves to it are finished: whoever retires older lists relies on it.
            self.reported_epoch = hosts.epoch
        if self._interrupted:
            self._report_replaced()
        self._report_losses()
        for shard in self.epochs.unanswered():
            self.epochs.outdated(shard)
        for shard in self.epochs.reachable():
            if now - self._beat_at.get(shard, -1e9) >= _HEARTBEAT_SECONDS:
                self._beat(shard)

    def _beat(self, shard: str) -> None:
        self._beat_at[shard] = self._now
        key_names, process = self._identity.names, self._identity.process
        keys = (key_names.epoch, key_names.hosts, key_names.processes, key_names.process(process), key_names.data_set)
        arguments = (process, self._description, _LEASE_SECONDS, self.epochs.present.epoch)
        self._emit(Call(shard, "heartbeat", keys, arguments, HeartbeatCall(self._now)))
