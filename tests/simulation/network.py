"""Between processes and servers: connections that keep the order, take their time, break, or fall silent.

A link is two connections, as in ``layer.shards.link``: it is up when both lead to the same server, and when either
breaks, both are given up. What was under way then may still reach the server, but no answer comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.simulation.clock import Clock
from tests.simulation.shard import Server, Shard

# How long a peer may be silent before its PING has failed: the driver pings after 1 s and waits for 4 s.
_DETECTED_SECONDS = (1.5, 4.0)
_CONNECT_SECONDS = 3.0

Act = Callable[[], None]


def identity(server: Server) -> str:
    """What a link tells of the server that it leads to, as ``layer.shards.link`` makes it of INFO."""
    return f"{server.run_id}:{server.replication_id}"


def same_server(one: Server, other: Server) -> bool:
    """Whether the two connections of a link have come to the same server."""
    return one is other


class Network:
    """Which ways are open, and how long they take.

    Attributes:
        slowest: how many seconds a way may take; now and then one takes ten times as long.
        cut: (process, server) pairs between which nothing passes.
        froze_at: when servers began to hang.
        taken_in_vain: what was taken out of queues for processes that have not got the answer.
    """

    def __init__(self, clock: Clock, shards: dict[str, Shard]) -> None:
        self.clock = clock
        self.shards = shards
        self.cut: set[tuple[str, str]] = set()
        self.froze_at: list[float] = []
        self.taken_in_vain: dict[int, tuple[str, bytes]] = {}
        self._answers = 0
        self.wires: list[Wire] = []
        self.slowest = 0.02

    def note_answer(self, process: str, script: str, result: Any) -> int:
        """Remember what an answer carries, under the number that is returned, for as long as it is on its way."""
        self._answers += 1
        if script == "pop" and isinstance(result, list) and len(result) > 1:
            self.taken_in_vain[self._answers] = (process, result[1])
        return self._answers

    def delay(self) -> float:
        """How long one way takes."""
        random = self.clock.random
        return random.random() * self.slowest * (10 if random.random() < 0.01 else 1)

    def round_trip(self) -> float:
        """How long there and back take."""
        return self.delay() + self.delay()

    def reaches(self, process: str, server: Server) -> bool:
        """Whether bytes pass now."""
        return (process, server.name) not in self.cut

    def separate(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let nothing pass between processes and servers; connections that stay silent are given up."""
        new = set(pairs) - self.cut
        self.cut |= new
        for wire in list(self.wires):
            if (wire.process, wire.server.name) in new:
                self._watch(wire)

    def _watch(self, wire: Wire) -> None:
        self.clock.after(self.clock.random.uniform(*_DETECTED_SECONDS), self._give_up_if_silent, wire)

    def _give_up_if_silent(self, wire: Wire) -> None:
        if not self.reaches(wire.process, wire.server) or wire.server.frozen or not wire.server.alive:
            wire.broken("no answer to PING")

    def join(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Let bytes pass again; what TCP has kept arrives."""
        joined = set(pairs)
        self.cut -= joined
        for wire in list(self.wires):
            if (wire.process, wire.server.name) in joined:
                wire.flush()

    def freeze(self, server: Server) -> None:
        """Let a server hang."""
        server.frozen = True
        self.froze_at.append(self.clock.now)
        for wire in self.wires_to(server):
            self._watch(wire)

    def wires_to(self, server: Server) -> list[Wire]:
        """All connections to a server."""
        return [wire for wire in self.wires if wire.server is server]

    def kill(self, server: Server, reason: str, *, silently: bool = False) -> None:
        """End every connection to a server: at once, or by their silence."""
        for wire in self.wires_to(server):
            if silently:
                self._watch(wire)
            else:
                self.clock.after(self.delay(), wire.broken, reason)


class Wire:
    """One connection.

    Args:
        on_broken: called once when the process's side finds it broken.
    """

    def __init__(self, network: Network, process: str, server: Server, on_broken: Callable[[str], None]) -> None:
        self.process = process
        self.server = server
        self._network = network
        self._on_broken = on_broken
        self._closed_here = False
        self._closed_there = False
        self._out_at = self._in_at = 0.0
        self._held: list[tuple[Callable[[Act], None], Act]] = []
        network.wires.append(self)

    def send(self, act: Act) -> None:
        """Do something at the server, after all that was sent before."""
        self._out_at = max(self._out_at, self._network.clock.now + self._network.delay())
        self._network.clock.at(self._out_at, self._arrive_there, act)

    def bring(self, act: Act) -> None:
        """Do something at the process, after all that was brought before."""
        self._in_at = max(self._in_at, self._network.clock.now + self._network.delay())
        self._network.clock.at(self._in_at, self._arrive_here, act)

    def _arrive_there(self, act: Act) -> None:
        if self._closed_there or not self.server.alive:
            return
        if self._held or not self._network.reaches(self.process, self.server):
            self._held.append((self._arrive_there, act))
        elif self.server.frozen:
            self.server.stuck.append(act)
        else:
            act()

    def _arrive_here(self, act: Act) -> None:
        if self._closed_here:
            return
        if self._held or not self._network.reaches(self.process, self.server):
            self._held.append((self._arrive_here, act))
        else:
            act()

    def flush(self) -> None:
        """Pass on what was kept while nothing passed."""
        held, self._held = self._held, []
        for arrive, act in held:
            arrive(act)

    def broken(self, reason: str) -> None:
        """Find out that it is broken."""
        if not self._closed_here:
            self._on_broken(reason)

    def close(self) -> None:
        """Give it up; what is under way to the server arrives, or does not."""
        self._closed_here = True
        random = self._network.clock.random
        self._closed_there = not self._network.reaches(self.process, self.server) or random.random() < 0.5
        if self in self._network.wires:
            self._network.wires.remove(self)


class Link:
    """Two connections to one server.

    Args:
        on_message: topic and payload of each message.
        on_subscribed: a topic whose subscription is confirmed.
        on_lost: once, with the reason, when either connection is gone.
    """

    def __init__(
        self,
        network: Network,
        process: str,
        on_message: Callable[[bytes, bytes], None],
        on_subscribed: Callable[[str], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._network = network
        self.process = process
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._on_lost = on_lost
        self.closed = False
        self.identity = ""
        self.commands: Wire
        self.subscriptions: Wire

    def dial(self, shard: Shard, on_up: Act, on_failed: Callable[[str], None]) -> None:
        """Connect twice, and see whether both connections lead to the same primary."""
        network, clock = self._network, self._network.clock
        # Now and then the second one takes its time: a failover may come between.
        pause = clock.random.random() if clock.random.random() < 0.2 else 0.0

        def first() -> None:
            wire = self._connect(shard, on_failed)
            if wire is not None:
                self.commands = wire
                clock.after(network.round_trip() + pause, second)

        def second() -> None:
            wire = self._connect(shard, on_failed)
            if wire is not None:
                self.subscriptions = wire
                clock.after(network.round_trip(), self._introduce, on_up, on_failed)

        clock.after(network.round_trip(), first)

    def _connect(self, shard: Shard, on_failed: Callable[[str], None]) -> Wire | None:
        if self.closed:
            return None
        server = shard.server_for(self.process)
        reason, after = "", 0.0
        if not self._network.reaches(self.process, server) or server.frozen:
            reason, after = "no connection in time", _CONNECT_SECONDS
        elif shard.deleted or not server.alive:
            reason = "connection refused"
        elif server.loading:
            reason = "LOADING"
        else:
            return Wire(self._network, self.process, server, self._broken)
        self._network.clock.after(after, self._fail, reason, on_failed)
        return None

    def _introduce(self, on_up: Act, on_failed: Callable[[str], None]) -> None:
        server, other = self.commands.server, self.subscriptions.server
        if self.closed:
            return
        if not same_server(server, other):
            self._fail("its two connections led to two servers", on_failed)
        elif server.replica or other.replica:
            self._fail("READONLY the server is a replica", on_failed)
        elif not (server.alive and other.alive and self._network.reaches(self.process, server)):
            self._fail("connection reset", on_failed)
        else:
            self.identity = identity(server)
            on_up()

    def _fail(self, reason: str, on_failed: Callable[[str], None]) -> None:
        if not self.closed:
            self.close()
            on_failed(reason)

    def call(self, script: str, keys: Any, arguments: Any, reply: Callable[[Any], None]) -> None:
        """Run a script; the reply never comes when the link is lost."""
        wire = self.commands

        def there() -> None:
            result = wire.server.call(script, keys, arguments)
            number = self._network.note_answer(self.process, script, result)
            wire.bring(lambda: here(result, number))

        def here(result: Any, number: int) -> None:
            self._network.taken_in_vain.pop(number, None)
            reply(result)

        wire.send(there)

    def subscribe(self, topics: Iterable[str]) -> None:
        """Ask for messages; each topic is confirmed."""
        wire = self.subscriptions

        def there(topic: str) -> None:
            if not self.closed:
                wire.server.subscribe(topic.encode(), self)
                wire.bring(lambda: self._on_subscribed(topic))

        for one in topics:
            wire.send(lambda topic=one: there(topic))  # type: ignore[misc]

    def unsubscribe(self, topics: Iterable[str]) -> None:
        """Ask for no more messages."""
        server = self.subscriptions.server
        for one in topics:
            self.subscriptions.send(lambda topic=one: server.unsubscribe(topic.encode(), self))  # type: ignore[misc]

    def push(self, topic: bytes, payload: bytes) -> None:
        """Bring a message on its way; called by the server."""
        self.subscriptions.bring(lambda: self._on_message(topic, payload))

    def _broken(self, reason: str) -> None:
        if not self.closed:
            self.close()
            self._on_lost(reason)

    def close(self) -> None:
        """Give both connections up without a word."""
        self.closed = True
        for name in ("commands", "subscriptions"):
            wire = getattr(self, name, None)
            if wire is not None:
                wire.close()
                wire.server.forget(self)
