"""The protocol's rules, each taken out: the simulation has to see that every one of them is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from realtime_gateway.layer.machine import following
from realtime_gateway.layer.machine.actions import Lost
from realtime_gateway.layer.machine.follow import Follow, Phase, Span
from realtime_gateway.layer.machine.following import Following
from realtime_gateway.layer.machine.lane import Lane
from realtime_gateway.layer.machine.memory import Memory
from realtime_gateway.layer.machine.process import ProcessMachine
from realtime_gateway.layer.machine.publishing import Publishing
from realtime_gateway.layer.machine.queues import Queues
from realtime_gateway.layer.shards.scripts import load
from tests.simulation import lua, network, rolls
from tests.simulation.lua import Scripts


@contextmanager
def no_equality_of_epochs() -> Iterator[None]:
    """A shard takes what writers of an older epoch send: only shards that are older refuse."""
    scripts = _edited("publish", "if epoch > own then return", "if false then return")
    with patch.object(lua, "real_scripts", lambda: scripts):
        yield


@contextmanager
def nothing_sent_again_after_a_failover() -> Iterator[None]:
    """What the last server acknowledged counts on the next one."""
    with patch.object(Publishing, "server_known", _note_server_only):
        yield


def _note_server_only(self: Publishing, shard: str, server: Any, now: float) -> None:
    lane = self.lanes.get(shard)
    if lane is not None:
        lane.server = server


@contextmanager
def nothing_sent_again_on_a_move() -> Iterator[None]:
    """What an earlier owner acknowledged is left to it."""

    def take_all(self: Publishing, lane: Lane, *_: Any) -> list[Any]:
        items = [*lane.take_flying(), *lane.queue]
        lane.queue.clear()
        lane.queue_bytes = 0
        return items

    with patch.object(Publishing, "_take_all", take_all):
        yield


@contextmanager
def reading_only_after_the_position() -> Iterator[None]:
    """A position counts on another server as well."""

    def begin(self: Span, server: Any) -> None:
        self.server = server
        self.linked = False

    with patch.object(Span, "begin", begin):
        yield


@contextmanager
def reading_the_next_owner_first() -> Iterator[None]:
    """A destination that moves is read on its present owner at once, and on earlier ones when that is convenient."""
    move, advance = Following._move, Following._advance

    def move_on(self: Following, follow: Follow, *rest: Any) -> None:
        with patch.object(Following, "_advance", lambda *_: None):
            move(self, follow, *rest)
        if follow.chain:
            follow.past += follow.chain
            follow.chain = []
        if follow.phase is Phase.FINISHING:
            follow.phase = Phase.AWAY
        advance(self, follow, rest[-1])

    with patch.object(Following, "_move", move_on):
        yield


@contextmanager
def no_watermarks() -> Iterator[None]:
    """Nobody remembers what was seen."""
    with patch.object(Follow, "first_time", lambda *_: True):
        yield


@contextmanager
def watermarks_dropped_at_leave() -> Iterator[None]:
    """When the last member leaves, what was seen is forgotten."""
    with patch.object(Memory, "keep", lambda *_: None):
        yield


@contextmanager
def forgetting_by_the_clock() -> Iterator[None]:
    """What was sent is forgotten after a while, whether the server has been heard of or not."""
    tick = Publishing.tick

    def tick_as_if_in_contact(self: Publishing, now: float) -> None:
        for lane in self.lanes.values():
            lane.contact_at = now
        tick(self, now)

    with patch.object(Publishing, "tick", tick_as_if_in_contact):
        yield


@contextmanager
def any_answer_is_contact() -> Iterator[None]:
    """A server that refuses what it is sent counts as one that has passed on what it took before."""
    replied = Publishing.replied

    def replied_with_contact(self: Publishing, shard: str, *rest: Any) -> None:
        self.contact(shard, rest[-1])
        replied(self, shard, *rest)

    with patch.object(Publishing, "replied", replied_with_contact):
        yield


@contextmanager
def putting_back_at_once_or_never() -> Iterator[None]:
    """What has come has arrived, and is put back if its shard can be reached in the moment in which a worker leaves."""
    put_back = Queues._put_back

    def put_back_at_once(self: Queues) -> None:
        put_back(self)
        for place in self.taken.places_to_put_back():
            call = None if place.shard in self._links else self.taken.put_back(place, quiet=True)
            if call is not None:
                self.taken.answered(call, done=True)
                for one in call.messages:
                    self.taken.done_with(place, one.number, one.expires_at)

    with patch.object(Queues, "_put_back", put_back_at_once):
        yield


@contextmanager
def connections_on_two_servers() -> Iterator[None]:
    """Nobody looks whether both connections of a link lead to the same server."""
    with patch.object(network, "same_server", lambda one, other: True):
        yield


@contextmanager
def no_fence_before_the_first_write() -> Iterator[None]:
    """A new connection is written through at once, as if its server had answered that it is where the list is."""
    link_up = Publishing.link_up

    def link_up_and_write(self: Publishing, shard: str) -> None:
        link_up(self, shard)
        lane = self.lanes.get(shard)
        if lane is not None:
            lane.epoch = self._hosts.epoch
            self._dirty[shard] = None

    with patch.object(Publishing, "link_up", link_up_and_write):
        yield


@contextmanager
def no_earlier_lists() -> Iterator[None]:
    """A host list says nothing of those before it, and whoever notices keeps it to himself."""
    with no_loss_report(), patch.object(rolls, "earlier_lists", lambda current: ()):
        yield


@contextmanager
def no_loss_report() -> Iterator[None]:
    """Whoever finds that something is missing keeps it to himself."""
    emit = ProcessMachine._emit

    def emit_all_but_losses(self: ProcessMachine, action: Any) -> None:
        if type(action) is not Lost:
            emit(self, action)

    with patch.object(ProcessMachine, "_emit", emit_all_but_losses):
        yield


@contextmanager
def no_look_at_a_push_s_predecessor() -> Iterator[None]:
    """A push is taken as it comes, whatever stands before it in the stream."""
    with (
        patch.object(following, "goes_on", lambda *_: True),
        patch.object(Follow, "lacks_predecessor", lambda *_: False),
    ):
        yield


@contextmanager
def no_ages() -> Iterator[None]:
    """A member gets whatever comes, however old it is."""
    deliver = ProcessMachine._deliver

    def deliver_as_new(self: ProcessMachine, follow: Follow, entry: Any, age_seconds: float, *more: Any) -> None:
        deliver(self, follow, entry, 0.0, *more)

    with patch.object(ProcessMachine, "_deliver", deliver_as_new):
        yield


@contextmanager
def identity_by_run_id_alone() -> Iterator[None]:
    """A server that became a replica and then the primary again counts as the same one."""
    with patch.object(network, "identity", lambda server: server.run_id):
        yield


@contextmanager
def identity_without_the_data_set() -> Iterator[None]:
    """A server that has lost all that it had counts as the same one, as long as its connections stay."""
    scripts = _edited("fence", "redis.call('SET', KEYS[3], ARGV[3])", "redis.call('SET', KEYS[3], 'same')")
    with patch.object(lua, "real_scripts", lambda: scripts):
        yield


@dataclass(frozen=True)
class Mutation:
    """A rule that is taken out.

    Attributes:
        without_it: in this context the protocol has no such rule.
        faults: kinds that show it soon; all kinds do in the long run.
        symptoms: parts of sentences of which one names what goes wrong then.
        beside: a rule that is taken out with it, as it would report the harm; alone it must do none.
    """

    without_it: Callable[[], AbstractContextManager[None]]
    faults: tuple[str, ...]
    symptoms: tuple[str, ...] = ("never reached",)
    beside: str = ""

    def shows_in(self, sentence: str) -> bool:
        """Whether a violation is one that is due to this."""
        return any(one in sentence for one in self.symptoms)


MUTATIONS: dict[str, Mutation] = {
    "no equality of epochs": Mutation(no_equality_of_epochs, ("late writer dies",)),
    "nothing sent again after a failover": Mutation(
        nothing_sent_again_after_a_failover, ("old primary isolated", "stale replica promoted")
    ),
    "nothing sent again on a move": Mutation(nothing_sent_again_on_a_move, ("loss on an owner that loses its groups",)),
    "reading only after the position": Mutation(
        reading_only_after_the_position, ("old primary isolated", "stale replica promoted", "primary killed")
    ),
    "reading the next owner first": Mutation(reading_the_next_owner_first, ("unread when it moves",)),
    "no watermarks": Mutation(no_watermarks, ("connections cut", "old primary isolated"), ("twice", "after")),
    "watermarks dropped at leave": Mutation(
        watermarks_dropped_at_leave, ("old primary isolated", "primary killed", "restart with data"), ("twice",)
    ),
    "forgetting by the clock": Mutation(forgetting_by_the_clock, ("long outage with a loss",)),
    "any answer is contact": Mutation(any_answer_is_contact, ("primary without its replicas",)),
    "putting back at once or never": Mutation(
        putting_back_at_once_or_never, ("worker leaves with its connections",), ("never taken",)
    ),
    "connections on two servers": Mutation(connections_on_two_servers, ("a link between two primaries",)),
    "no fence before the first write": Mutation(
        no_fence_before_the_first_write, ("old primary isolated", "stale replica promoted", "primary killed")
    ),
    "no earlier lists": Mutation(no_earlier_lists, ("two rolls unheard",), beside="no loss report"),
    "no loss report": Mutation(no_loss_report, ("long absence",)),
    "no look at a push's predecessor": Mutation(no_look_at_a_push_s_predecessor, ("pushes lost",)),
    "no ages": Mutation(no_ages, ("old primary isolated", "restart with data"), ("which joined at",)),
    "identity without the data set": Mutation(identity_without_the_data_set, ("shard emptied",)),
    "identity by run id alone": Mutation(identity_by_run_id_alone, ("failover forth and back",)),
}


def _edited(name: str, before: str, after: str) -> Scripts:
    texts = {script.name: script.text for script in load().values()}
    assert before in texts[name], f"{name}.lua has changed: {before!r} is gone"
    texts[name] = texts[name].replace(before, after)
    return Scripts(texts)
