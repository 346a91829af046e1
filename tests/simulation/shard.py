"""One shard: the server that takes writes, a replica that lags behind it, and what can happen to the two."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tests.simulation.clock import Clock
from tests.simulation.data_set import DataSet
from tests.simulation.lua import Scripts
from tests.simulation.values import RedisError, Stream

# What TIME says at the start of every run.
_BEGINNING_MS = 1_700_000_000_000
_DRIFTS_MS = (0, 0, 0, 0, 20, -20, 250, -250, -1500)
# How much faster or slower than time a server's clock runs.
_DRIFTS_PPM = (0, 0, 0, 1000, -1000)


class Subscriber(Protocol):
    """The far end of a subscription connection."""

    process: str

    def push(self, topic: bytes, payload: bytes) -> None:
        """Bring a message on its way."""
        ...


class Server:
    """One redis-server.

    Attributes:
        run_id: of its process, as INFO server tells it.
        replication_id: of its history, as INFO replication tells it: another one for each promotion.
        alive: whether it answers.
        frozen: it hangs: takes bytes, runs them when it goes on.
        replica: it is one, and takes no writes.
        refusal: with what it answers every write, such as OOM; empty when it takes them.
        loading: it answers nothing but LOADING.
    """

    def __init__(self, clock: Clock, scripts: Scripts, name: str, offset_ms: int) -> None:
        self._clock = clock
        self._scripts = scripts
        self.name = name
        self.run_id = name
        self.replication_id = name
        self.offset_ms = offset_ms
        self.drift_ppm = 0
        self.alive, self.frozen, self.replica, self.loading = True, False, False, False
        self.refusal = b""
        self.data = DataSet()
        self.base = DataSet()  # what the replica had when the journal began
        self.subscribers: dict[bytes, dict[Subscriber, None]] = {}
        self.forward_to: Server | None = None  # a demoted server's clients hear what its primary publishes
        # Whether a push of a topic to a process is lost.
        self.drops: Callable[[bytes, str], bool] = lambda topic, process: False
        self.stuck: list[Callable[[], None]] = []

    def time_ms(self) -> int:
        """What TIME says."""
        return _BEGINNING_MS + int(self._clock.now * (1000 + self.drift_ppm / 1000)) + self.offset_ms

    def call(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Run a script and return its reply."""
        if self.loading:
            return RedisError(b"LOADING Redis is loading the dataset in memory")
        data = self.data
        data.now_ms, data.at = self.time_ms(), self._clock.now
        refusal = b"READONLY You can't write against a read only replica." if self.replica else self.refusal
        return self._scripts.run(script, keys, arguments, data, self.publish, refusal)

    def publish(self, topic: bytes, payload: bytes) -> int:
        """Push to every subscriber."""
        receivers = self.subscribers.get(topic)
        if receivers:
            for one in list(receivers):
                if not self.drops(topic, one.process):
                    one.push(topic, payload)
        if self.forward_to is not None:
            self._clock.after(0.002, self.forward_to.publish, topic, payload)
        return len(receivers or ())

    def subscribe(self, topic: bytes, subscriber: Subscriber) -> None:
        """Begin to push."""
        self.subscribers.setdefault(topic, {})[subscriber] = None

    def unsubscribe(self, topic: bytes, subscriber: Subscriber) -> None:
        """Push no more."""
        self.subscribers.get(topic, {}).pop(subscriber, None)

    def forget(self, subscriber: Subscriber) -> None:
        """A connection is gone."""
        for receivers in self.subscribers.values():
            receivers.pop(subscriber, None)

    def flush(self) -> None:
        """Delete every key, here and on its replica, as FLUSHALL does."""
        self.data.now_ms, self.data.at = self.time_ms(), self._clock.now
        self.data.execute(b"FLUSHALL", ())

    def begin_journal(self) -> None:
        """Synchronise a replica in full: it has everything as of now."""
        self.base = self.data.copy()
        self.data.journal.clear()

    def go_on(self) -> None:
        """End a freeze: what has gathered in its sockets is run now."""
        self.frozen = False
        stuck, self.stuck = self.stuck, []
        for one in stuck:
            one()

    def bodies(self) -> dict[bytes, set[bytes]]:
        """Return every entry of every stream and list, by key."""
        found: dict[bytes, set[bytes]] = {}
        for key, value in self.data.values.items():
            if isinstance(value, Stream):
                found[key] = {fields[1] for fields in value.entries.values()}
            elif isinstance(value, list):
                found[key] = {one.partition(b" ")[2] for one in value}
        return found


class Shard:
    """A primary, a standby that lags behind it, perhaps an old primary that does not know that it is old.

    Attributes:
        primary: where the Sentinels, or the address, lead to.
        standby: what is promoted next; None while there is nothing to fail over to.
        spare: a second replica, which may be farther behind, or less; None where there is one at most.
        isolated: a former primary that still takes writes of those who are left with it.
        lag_seconds: how far the standby is behind, and ``spare_lag_seconds`` how far the spare.
        drift_ppm: how far its servers' clocks run off time, at most.
        frozen_at: since when the standby has got nothing at all, or None.
        deleted: the shard is no more.
        undecided: a process that is led to the primary and to the isolated one in turn.
        deaf: processes that nothing of the control channel reaches.
        loses_control: whether most of what is announced on the control channel gets lost.
        loses_pushes: whether a third of all other pushes gets lost.
        replaced_at: when another server became the primary, or this one lost all that it had.
        outages: from when until when nobody could reach a primary, as far as killed ones are concerned.
        lost: told what a server had that its successor has not: entries by key.
    """

    def __init__(
        self, clock: Clock, scripts: Scripts, name: str, lag_seconds: float, spare_lag_seconds: float | None = None
    ) -> None:
        self._clock = clock
        self.replicas = 1 if spare_lag_seconds is None else 2
        self.spare_lag_seconds = spare_lag_seconds or 0.0
        self.drift_ppm = 0
        self._scripts = scripts
        self._made = 0
        self._offsets_ms = (0, 0)
        self.replaced_at: list[float] = []
        self.outages: list[tuple[float, float]] = []
        self._down_since: float | None = None
        self.name = name
        self.lag_seconds = lag_seconds
        self.frozen_at: float | None = None
        self.deleted = False
        self.undecided = ""
        self._turns = 0
        self.deaf: frozenset[str] = frozenset()
        self.loses_control = False
        self.loses_pushes = False
        self.primary = self._server()
        self.standby: Server | None = self._server()
        self.spare: Server | None = self._server() if self.replicas > 1 else None
        self.isolated: Server | None = None
        self.left_with_isolated: frozenset[str] = frozenset()
        self.lost: Callable[[dict[bytes, set[bytes]]], None] = lambda bodies: None

    def _server(self) -> Server:
        self._made += 1
        drift = self._clock.random.choice(_DRIFTS_MS)
        self._offsets_ms = (
            (min(self._offsets_ms[0], drift), max(self._offsets_ms[1], drift)) if self._made > 1 else (drift, drift)
        )
        made = Server(self._clock, self._scripts, f"{self.name}.{self._made}", drift)
        made.drops = self._drops
        made.drift_ppm = self._clock.random.choice(_DRIFTS_PPM)
        self.drift_ppm = max(self.drift_ppm, abs(made.drift_ppm))
        return made

    def _drops(self, topic: bytes, process: str) -> bool:
        if topic.endswith(b":control"):
            return process in self.deaf or (self.loses_control and self._clock.random.random() < 0.9)
        return self.loses_pushes and self._clock.random.random() < 0.3

    @property
    def clock_spread_ms(self) -> int:
        """How far the clocks of its servers have been apart up to now, at most."""
        drift_ms = math.ceil(2 * self.drift_ppm * self._clock.now / 1000)
        return self._offsets_ms[1] - self._offsets_ms[0] + drift_ms

    def went_down(self) -> None:
        """Its primary was killed; it is out of reach from now on, unless it has been before."""
        if self._down_since is None:
            self._down_since = self._clock.now

    def came_back(self) -> None:
        """It has a primary that stays."""
        if self._down_since is not None:
            self.outages.append((self._down_since, self._clock.now))
            self._down_since = None

    def server_for(self, process: str) -> Server:
        """Where a process is led that asks for this shard."""
        if self.isolated is None:
            return self.primary
        if process == self.undecided:
            self._turns += 1
            return self.primary if self._turns % 2 else self.isolated
        if process in self.left_with_isolated or self._clock.random.random() < 0.2:
            return self.isolated
        return self.primary

    def servers(self) -> list[Server]:
        """Everything that runs."""
        return [one for one in (self.primary, self.standby, self.spare, self.isolated) if one is not None]

    def _take_over(self, server: Server, data: DataSet) -> int:
        """Put a server in the primary's place; return how many changes are gone."""
        lacking = len(self.primary.data.journal)
        self.replaced_at.append(self._clock.now)
        server.data, server.replica = data, False
        server.replication_id = f"{server.run_id}:{len(self.replaced_at)}"
        self.primary.forward_to = None
        self.primary = server
        server.begin_journal()
        self.frozen_at = None
        return lacking

    def promote(self, *, lossless: bool = False) -> Server:
        """Make the standby the primary; return the old one, which is the caller's to deal with.

        Args:
            lossless: an orderly switchover, which waits for the standby.
        """
        assert self.standby is not None
        old, new, lag_seconds = self.primary, self.standby, self.lag_seconds
        self.standby = None
        self.choose_standby()
        until = self._clock.now - (0 if lossless else lag_seconds)
        if self.frozen_at is not None and not lossless:
            until = min(until, self.frozen_at)
        arrived = [one for one in old.data.journal if one[0] <= until]
        data = old.base.copy()
        data.apply(arrived)
        lacking = self._take_over(new, data) - len(arrived)
        self._clock.note(self.name, "promoted", new.name, f"lacks {lacking}")
        return old

    def choose_standby(self) -> None:
        """Let the spare be promoted next, where there is nothing else or by chance."""
        if self.spare is not None and (self.standby is None or self._clock.random.random() < 0.5):
            self.standby, self.spare = self.spare, self.standby
            self.lag_seconds, self.spare_lag_seconds = self.spare_lag_seconds, self.lag_seconds

    def restart(self, keep: float | None) -> Server:
        """Start another server on the primary's address; return the one that ended.

        Args:
            keep: up to when changes are on disk; None when nothing is.
        """
        old, data, arrived = self.primary, DataSet(), []
        if keep is not None:
            arrived = [one for one in old.data.journal if one[0] <= keep]
            data = old.base.copy()
            data.apply(arrived)
        new = self._server()
        new.offset_ms = old.offset_ms
        lacking = self._take_over(new, data) - len(arrived)
        self._clock.note(self.name, "restarted", new.name, f"lacks {lacking}" if keep is not None else "empty")
        return old

    def empty(self) -> None:
        """Let somebody type FLUSHALL: all data are gone, and every connection stays."""
        gone = self.primary.bodies()
        self.primary.flush()
        self.replaced_at.append(self._clock.now)
        self.lost(gone)
        self._clock.note(self.name, "emptied", self.primary.name)

    def demote(self, old: Server) -> None:
        """Make an old primary the standby of the new one; what only it had is gone."""
        self.tell_lost(old)
        old.replica, old.data = True, self.primary.data  # a standby that is read from is never behind
        if self.standby is not None:
            self.spare = self.standby
            self.lag_seconds, self.spare_lag_seconds = self.spare_lag_seconds, self.lag_seconds
        self.standby = old
        self._clock.note(self.name, "demoted", old.name)

    def replace(self) -> None:
        """Start as many replicas as are missing, as new as the primary."""
        if self.standby is None:
            self.standby = self._server()
        if self.spare is None and self.replicas > 1:
            self.spare = self._server()

    def tell_lost(self, old: Server) -> None:
        """Report what a server had that its successor has not."""
        kept = self.primary.bodies()
        gone = {key: bodies - kept.get(key, set()) for key, bodies in old.bodies().items()}
        self.lost({key: bodies for key, bodies in gone.items() if bodies})
