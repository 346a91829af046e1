"""Between the machine and the sockets: event → machine → actions, on one event loop, owning every task of it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_gateway.layer import drops, measuring, names
from realtime_gateway.layer.calls import Calls
from realtime_gateway.layer.delivering import Deliveries
from realtime_gateway.layer.errands import Errands
from realtime_gateway.layer.leaving import take_leave
from realtime_gateway.layer.loop_end import stop_before_it_closes
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.mailboxes import Body
from realtime_gateway.layer.news import News
from realtime_gateway.layer.options import label
from realtime_gateway.layer.process_state import ProcessState, Taken
from realtime_gateway.layer.shard_links import ShardLinks
from realtime_gateway.layer.shards.link import Callbacks, Link
from realtime_gateway.layer.waking import wake
from realtime_gateway.telemetry import layer_spans, recorder

log = logging.getLogger("realtime_gateway.layer")

_TICK_SECONDS = 0.25
_QUIET_SECONDS = 1.0
_PING_LIMIT_SECONDS = 4.0


class Driver:
    """Runs a process's state on the current event loop."""

    def __init__(self, state: ProcessState) -> None:
        self.state = state
        self.loop = asyncio.get_running_loop()
        self._machine = state.machine
        self._tickets: dict[int, asyncio.Future[actions.Settle] | Callable[[actions.Settle], None]] = {}
        self._turn_open = False
        self.stopped = False
        self.gone = False  # nothing of it goes on, and another driver may have the machine
        self._ended = asyncio.Event()
        self._severed = False  # the same, while its loop may not know yet
        self._topics: dict[str, dict[bytes, str]] = {}
        self._tick_task: asyncio.Task[None] | None = None
        self.links = ShardLinks(self._callbacks_for, self._on_up, self._on_down)
        self.errands = Errands(self)
        self._calls = Calls(self.links, self.loop, self.submit)
        self._deliveries = Deliveries(state, self.loop, self.submit)
        news = News(state, self.loop)
        self._performers: dict[type, Callable[[Any], None]] = {
            actions.Call: self._calls.call,
            actions.Deliver: self._deliveries.deliver,
            actions.Settle: self._settle,
            actions.Subscribe: self._subscribe,
            actions.Unsubscribe: self._unsubscribe,
            actions.HandOver: self._hand_over,
            actions.UseShards: lambda a: self._use(a.hosts),
            actions.Redial: self._redial,
            actions.Dropped: lambda a: drops.count(a.reason, a.count),
            actions.Repeated: self._deliveries.repeated,
            actions.Replayed: lambda a: recorder.layer_replayed.add(a.count),
            actions.Acknowledged: lambda a: measuring.acknowledged(a, self.loop.time()),
            actions.Lost: news.lost,
            actions.Disconnected: news.disconnected,
            actions.Reconnected: news.reconnected,
            actions.AnsweredRequest: self._requested,
            actions.Adopted: news.adopted,
            actions.HostsRefused: lambda a: state.hosts_file.refused(a.reason),
        }

    @property
    def alive(self) -> bool:
        """Whether its loop still runs it, and nobody has cancelled its tasks, as is done with a loop that ends."""
        return self.goes_on and self.loop.is_running()

    @property
    def goes_on(self) -> bool:
        """The same for whoever calls on its loop, for each message: whether anything would still time out here."""
        tick = self._tick_task
        return not self.stopped and tick is not None and not tick.cancelling() and not tick.done()

    def start(self) -> None:
        """Open links and let time pass."""
        self.submit(events.Described(self.state.description()))
        # A layer may have been made long before it is used, or not have been used for long.
        self._look_at_hosts()
        self._use(self.state.machine.epochs.shards_in_use())
        self._tick_task = self.loop.create_task(self._tick(), context=Context())
        stop_before_it_closes(self.loop, self)

    async def take_leave(self) -> None:
        """Before the end: wait until what was sent has left and is on a replica, as nobody may be here to repeat it."""
        self.submit(events.TurnEnded())
        lanes, queues = self._machine.publishing.lanes, self._machine.queues
        open_links = self.links.open.items()
        await asyncio.gather(*(take_leave(lanes[shard], queues, link) for shard, link in open_links if shard in lanes))

    async def stop(self) -> None:
        """Cut every link; what is in flight stays in the machine as unacknowledged, for the next driver to send."""
        if self.stopped:  # somebody else has begun it on this loop, which may be about to close
            await self._ended.wait()
        else:
            await self._end(self._leave_tickets)

    async def close(self) -> None:
        """Stop, and tell whoever waits for a shard that nobody will tell him any more."""
        await self._end(self._give_tickets_up)

    async def _end(self, see_to_tickets: Callable[[], None]) -> None:
        self.stopped = True
        try:
            if self._tick_task is not None:
                self._tick_task.cancel()
                await asyncio.gather(self._tick_task, return_exceptions=True)
            await self.links.stop()
        finally:
            # Also where the loop ends in the middle of it, or who waits for it is cancelled.
            self.links.cancel()
            try:
                see_to_tickets()
                await self.errands.end()
            finally:
                self.gone = True
                self._ended.set()

    def _leave_tickets(self) -> None:
        callers = (ticket for ticket, owner in self._tickets.items() if isinstance(owner, asyncio.Future))
        self.state.waiting_elsewhere.update(dict.fromkeys(callers, self._settle_from_elsewhere))

    def _give_tickets_up(self) -> None:
        for ticket in [*self._tickets, *self.state.waiting_elsewhere]:
            self._settle(actions.Settle(ticket, actions.Verdict.UNAVAILABLE, "", "the channel layer was closed"))
        wake(self.state.mailboxes)

    def leave_loop(self) -> None:
        """Sever a driver whose loop does not run now, or is held up, and end its tasks if the loop ever runs again.

        By then another driver has the machine, and two must never tell it things.
        """
        open_links = list(self.links.open.values())
        self.sever()
        self._leave_tickets()
        errands = self.errands.give_back()
        wake(self.state.mailboxes)
        with suppress(RuntimeError):  # it is closed
            self.loop.call_soon_threadsafe(self._end_tasks, open_links, errands)

    def _end_tasks(self, open_links: list[Link], errands: list[asyncio.Task[Any]]) -> None:
        for link in open_links:
            link.abandon()
        for task in errands:
            task.cancel()
        if self._tick_task is not None:
            self._tick_task.cancel()
        self.links.cancel()

    def sever(self) -> None:
        """Let go of the sockets without the loop, which is closed, stopped, or was left behind in the parent.

        The descriptors are pointed elsewhere rather than closed: whatever still holds the numbers, such as a transport
        that is collected later, then closes nothing that belongs to somebody else.
        """
        self.stopped = self._severed = self.gone = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        try:
            for number in self.links.file_numbers():
                if number >= 0:
                    os.dup2(nowhere, number, inheritable=False)
        finally:
            os.close(nowhere)
        for shard in list(self.links.open):
            self._machine.handle(events.LinkDown(shard, "the event loop ended"), self.loop.time())
        self.links.open.clear()

    def submit(self, event: Any) -> None:
        """Tell the machine, and do what it wants done."""
        performers = self._performers
        for action in self._machine.handle(event, self.loop.time()):
            performers[type(action)](action)

    def ask(self, make_event: Callable[[int], Any]) -> asyncio.Future[actions.Settle]:
        """Submit a request under a new ticket; the future is its end."""
        future: asyncio.Future[actions.Settle] = self.loop.create_future()
        self.submit(make_event(self.new_ticket(future)))
        self.end_turn_soon()
        return future

    def publish(
        self, destination: str, kind: int, channel: str, trace: bytes, body: bytes, capacity: int = 0
    ) -> asyncio.Future[actions.Settle]:
        """Send a message; the future is its end. Not a coroutine, since every send goes through here."""
        future: asyncio.Future[actions.Settle] = self.loop.create_future()
        self.submit(events.Publish(self.new_ticket(future), destination, kind, channel, trace, body, capacity))
        self.end_turn_soon()
        return future

    def new_ticket(self, owner: asyncio.Future[actions.Settle] | Callable[[actions.Settle], None]) -> int:
        """Return a ticket that is settled through ``owner``."""
        ticket = self.state.new_ticket()
        self._tickets[ticket] = owner
        return ticket

    def settle_later(
        self, ticket: int, future: asyncio.Future[actions.Settle], owner: Callable[[actions.Settle], None]
    ) -> None:
        """Tell ``owner`` of the end of a request whose caller was cancelled, now if it has ended already."""
        if future.done() and not future.cancelled():
            owner(future.result())
        elif ticket in self._tickets:
            self._tickets[ticket] = owner

    def settle_through(self, owner: Callable[[actions.Settle], None]) -> int:
        """Have the ticket that was given last settled through ``owner`` instead; return it."""
        self._tickets[self.state.last_ticket] = owner
        return self.state.last_ticket

    def leave_ticket(self, ticket: int, owner: Callable[[actions.Settle], None]) -> None:
        """Have whichever driver comes to it settle a ticket through ``owner``."""
        self._tickets.pop(ticket, None)
        self.state.waiting_elsewhere[ticket] = owner

    def end_turn_soon(self) -> None:
        """Let what is sent in this turn of the loop go out together."""
        if not self._turn_open:
            self._turn_open = True
            self.loop.call_soon(self._end_turn, context=Context())

    def _end_turn(self) -> None:
        self._turn_open = False
        if not self.stopped:
            self.submit(events.TurnEnded())

    async def _tick(self) -> None:
        look_for_idle_at = 0.0
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            if self._severed:
                return
            now = self.loop.time()
            try:
                self.links.look_after(now, _QUIET_SECONDS, _PING_LIMIT_SECONDS)
                self.submit(events.Tick())
                if now >= look_for_idle_at:
                    look_for_idle_at = now + 1
                    self._once_a_second(now)
            except Exception:
                # Nothing that goes wrong here may end the ticking, on which every timeout depends.
                log.exception("an unexpected error in the channel layer")

    def _once_a_second(self, now: float) -> None:
        state = self.state
        if state.look_at_keys():
            self.submit(events.KeysChanged())
        self._drop_idle(now)
        for channel in list(state.full_channels):
            box = state.mailboxes.get(channel)
            if box is not None and box.full:
                self.submit(events.Full(channel, True))
            else:
                state.full_channels.discard(channel)
        self._look_at_hosts()
        self.submit(events.Described(state.description()))
        measuring.look(state, self.links.open, now)

    def _look_at_hosts(self) -> None:
        hosts = self.state.hosts_file.look()
        if hosts is not None:
            self.submit(events.Learned(hosts, str(self.state.hosts_file.path)))

    def _drop_idle(self, now: float) -> None:
        state = self.state
        drops.count("expired", state.mailboxes.expire(now))
        for channel, seconds in state.mailboxes.look_for_idle(now):
            groups = state.machine.following.groups_of(channel)
            dropped = state.drop(channel)
            drops.count("idle", dropped)
            self.submit(events.Gone(channel))
            if groups or dropped:
                recorder.layer_idle.add()
                log.info(
                    "nobody has received from %s for %.0f s: it is dropped (messages: %s, groups: %s)",
                    channel, seconds, dropped, len(groups),
                )  # fmt: skip

    # Links

    def _use(self, hosts: HostList) -> None:
        self.state.identity.labels.update({shard.name: label(shard) for shard in hosts.shards})
        self.links.use(hosts)

    def _callbacks_for(self, shard: str, on_lost: Callable[[str], None]) -> Callbacks:
        # Resolving a topic is on the path of every message, so each is decoded once.
        known = self._topics[shard] = {}
        start = len(self.state.identity.topic(shard, "").encode())

        def on_message(topic: bytes, payload: bytes) -> None:
            destination = known.get(topic)
            if destination is None:
                if len(known) > 100_000:
                    known.clear()
                destination = known[topic] = topic[start:].decode()
            if destination == names.CONTROL and payload.startswith(b'{"flush"'):
                self.state.flushed_elsewhere(payload, self.submit)
            else:
                self.submit(events.Pushed(shard, destination, payload))

        def on_subscribed(topic: bytes) -> None:
            self.submit(events.Subscribed(shard, topic[start:].decode()))

        return Callbacks(self.state.identity.topic(shard, names.CONTROL), on_message, on_subscribed, on_lost)

    def _on_up(self, shard: str, link: Link) -> None:
        if self._severed:
            return
        self.submit(events.LinkUp(shard, link.run_id))
        self.end_turn_soon()

    def _on_down(self, shard: str, reason: str, refused: bool) -> None:
        if not self._severed:
            self.submit(events.LinkRefused(shard, reason) if refused else events.LinkDown(shard, reason))

    def _redial(self, action: actions.Redial) -> None:
        link = self.links.open.get(action.shard)
        if link is not None:
            self.loop.call_soon(link.close, action.reason, context=Context())

    def _subscribe(self, action: actions.Subscribe) -> None:
        link = self.links.open.get(action.shard)
        if link is not None:
            link.subscribe(self.state.identity.topic(action.shard, one) for one in action.destinations)

    def _unsubscribe(self, action: actions.Unsubscribe) -> None:
        link = self.links.open.get(action.shard)
        if link is not None:
            link.unsubscribe(self.state.identity.topic(action.shard, one) for one in action.destinations)

    # Messages

    def _settle_from_elsewhere(self, action: actions.Settle) -> None:
        with suppress(RuntimeError):  # this loop has been closed, with whoever waited on it
            self.loop.call_soon_threadsafe(self._settle, action)

    def _settle(self, action: actions.Settle) -> None:
        owner = self._tickets.pop(action.ticket, None)
        if owner is None:
            tell = self.state.waiting_elsewhere.pop(action.ticket, None)
            if tell is not None:
                tell(action)
            return
        if action.verdict is actions.Verdict.UNAVAILABLE and not action.detail:
            # It is there, but whatever has to come first (a fence, the look at a stream) was refused.
            refused_at, text = self._calls.refusals.get(action.shard, (-1e9, ""))
            if self.loop.time() - refused_at < self.state.options.send_timeout:
                action = action._replace(detail=text)
        if not isinstance(owner, asyncio.Future):
            owner(action)
        elif not owner.done():
            owner.set_result(action)

    def _hand_over(self, action: actions.HandOver) -> None:
        box = self.state.mailboxes.get(action.channel)
        if box is None or not box.readers:
            self.submit(events.Unwanted(action.number))
            return
        body: Body = self.state.serializer.body(action.body)
        trace = action.trace
        delivery = layer_spans.deliver(trace, "queue", action.channel, action.way) if trace else None
        if delivery is not None:
            body = delivery.carried_by(body)
        put = box.put(Taken(body, action.number), action.expires_at)
        if delivery is not None:
            delivery.ended(int(put), int(not put))
        if not put:
            self.submit(events.Unwanted(action.number))
            return
        recorder.layer_delivered.add(1, "queue")
        measuring.handed_over(action, self.state.options.expiry, self.loop.time())
        self.submit(events.Wanted(action.channel, box.readers))

    def _requested(self, action: actions.AnsweredRequest) -> None:
        def answer(settled: actions.Settle) -> None:
            done = settled.verdict is actions.Verdict.DONE
            self.submit(events.Answer(action.asker, action.number, done))

        if not action.join:
            self.submit(events.Leave(-1, action.group, action.channel, own=True))
            self.submit(events.Answer(action.asker, action.number, True))
        elif self.state.mailboxes.get(action.channel) is None:
            self.submit(events.Answer(action.asker, action.number, False))
        else:
            self.submit(events.Join(self.new_ticket(answer), action.group, action.channel, own=True))
