"""A machine on a bench: feed it events, look at its actions, answer its calls by hand."""

from __future__ import annotations

from typing import Any, TypeVar

from realtime_gateway.hosts import Documents, HostList, Shard
from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Entry, Kind, pack, parse
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.machine.limits import Identity, Limits
from realtime_gateway.layer.machine.process import ProcessMachine

A = TypeVar("A")


def hosts(epoch: int, *shards: str, earlier: tuple[HostList, ...] = ()) -> HostList:
    return HostList(epoch, tuple(Shard(name, 1.0, {"host": name}) for name in shards), earlier)


def group_owned_by(shard: str, among: HostList, but_by: str = "", in_list: HostList | None = None) -> str:
    """Return a group that a shard owns, and that another one owns in another list."""
    for number in range(10_000):
        name = f"group-{number}"
        if among.owner(name).name == shard and (in_list is None or in_list.owner(name).name == but_by):
            return name
    raise AssertionError("no such group")


def entry(sender: int, sequence: int, *, kind: int = Kind.GROUP, epoch: int = 0, **more: Any) -> bytes:
    fields = {"previous": 0, "age_ms": 0, "channel": "", "trace": b"", "body": b"%d" % sequence, **more}
    return pack(Entry(kind=kind, epoch=epoch, sender=sender, sequence=sequence, **fields))


def page(
    *entries: tuple[bytes, bytes],
    server_ms: bytes = b"5",
    more: int = 0,
    after: bytes = b"0-0",
    epoch: int = 0,
    last: bytes = b"",
) -> list[object]:
    """The answer to a read: entries that follow each other, the first one after ``after`` of an epoch."""
    rows = []
    for stream_id, raw in entries:
        rows.append([stream_id, b"%s/%d" % (after, epoch), raw])
        after = stream_id
    return [epoch, server_ms, more, last or after, rows]


class Bench:
    """One process's machine, with time that stands still until it is moved."""

    def __init__(self, start: HostList | None = None, *, keys: tuple[str, ...] = (), **limits: Any) -> None:
        self.hosts = start or hosts(0, "0")
        labels = {shard.name: shard.name for shard in self.hosts.shards}
        self.identity = Identity("me", 77, names.Names("p"), labels, Documents(keys, "p"))
        self.machine = ProcessMachine(self.identity, Limits(**limits), self.hosts, "word")
        self.now = 1000.0
        self.done: list[Any] = []
        self.pending: list[actions.Call] = []
        self.tickets = 0
        self.no_normal_members = True  # no shard has groups with normal channels: that question is answered at once

    def feed(self, event: Any) -> list[Any]:
        got = self.machine.handle(event, self.now)
        # A delivery names its receivers by the machine's own collection, to be read at once.
        got = [one._replace(channels=tuple(one.channels)) if isinstance(one, actions.Deliver) else one for one in got]
        self.done += got
        self.pending += [one for one in got if isinstance(one, actions.Call)]
        while self.no_normal_members and self.calls("groups"):
            call = self.call("groups")
            got += self.feed(events.Replied(call.shard, call.purpose, []))
        return got

    def tick(self, seconds: float = 0.25) -> list[Any]:
        self.now += seconds
        return self.feed(events.Tick())

    def link_up(self, shard: str = "0", run_id: str = "run", epoch: int = 0, server_ms: int = 0) -> None:
        """Open a link and answer its fence."""
        self.feed(events.LinkUp(shard, run_id))
        self.answer("fence", [epoch, b"", b"word", b"%d" % server_ms], shard)

    def link_down(self, shard: str = "0") -> None:
        self.pending = [call for call in self.pending if call.shard != shard]
        self.feed(events.LinkDown(shard, "cut"))

    def call(self, script: str, shard: str | None = None) -> actions.Call:
        """Take the oldest unanswered call of a script."""
        for call in self.pending:
            if call.script == script and shard in (None, call.shard):
                self.pending.remove(call)
                return call
        raise AssertionError(f"no {script} call is pending, but {[one.script for one in self.pending]}")

    def calls(self, script: str) -> int:
        return sum(call.script == script for call in self.pending)

    def answer(self, script: str, result: Any, shard: str | None = None) -> list[Any]:
        call = self.call(script, shard)
        return self.feed(events.Replied(call.shard, call.purpose, result))

    def answer_all_ok(self) -> list[int]:
        """Acknowledge every pending batch; return the sequence numbers in the order stored."""
        stored = []
        while self.calls("publish"):
            call = self.call("publish")
            stored += sequences(call)
            self.feed(events.Replied(call.shard, call.purpose, [b"OK", *[b"1-1"] * len(sequences(call))]))
        return stored

    def send(self, group: str = "room", body: bytes = b"x") -> int:
        """Send to a group in a turn of its own; return the ticket."""
        self.tickets += 1
        self.feed(events.Publish(self.tickets, names.group(group), Kind.GROUP, "", b"", body))
        self.feed(events.TurnEnded())
        return self.tickets

    def join(self, group: str = "room", channel: str = "a.me!1") -> int:
        self.tickets += 1
        self.feed(events.Join(self.tickets, group, channel, own=True))
        return self.tickets

    def join_live(self, group: str = "room", *, shard: str = "0", last: bytes = b"5-0", server_ms: int = 5) -> None:
        """Join, confirm, and answer where the stream ends."""
        self.join(group)
        self.feed(events.Subscribed(shard, names.group(group)))
        self.answer("join", [0, last, b"%d" % server_ms])

    def push(
        self, stream_id: bytes, raw: bytes, group: str = "room", shard: str = "0", *, after: bytes = b""
    ) -> list[Any]:
        """Push an entry that goes on where the follow stands, or after another entry."""
        follow = self.machine.following.follows.get(names.group(group))
        before = after or (follow and follow.span.position) or b"0-0"
        return self.feed(events.Pushed(shard, names.group(group), b"%s %s/0 %s" % (stream_id, before, raw)))

    def of(self, kind: type[A]) -> list[A]:
        return [one for one in self.done if isinstance(one, kind)]

    def bodies(self) -> list[bytes]:
        """What was delivered to anybody, in order."""
        return [one.body for one in self.of(actions.Deliver) if one.channels]

    def verdict(self, ticket: int) -> actions.Settle | None:
        found = [one for one in self.of(actions.Settle) if one.ticket == ticket]
        assert len(found) <= 1, "settled twice"
        return found[0] if found else None


def sequences(call: actions.Call) -> list[int]:
    """The sequence numbers in a publish call."""
    return [parse(bytes(raw)).sequence for raw in packed(call)]


def packed(call: actions.Call) -> list[bytes]:
    found = call.arguments[7::5]
    return [one for one in found if isinstance(one, bytes)]
