"""Which host list holds: learning of a newer one, fencing every shard with it, and only then acting by it.

Fencing a shard means that it has stored the epoch, and so refuses writers of older ones. Every new link is fenced
before anything is written through it, which also brings an empty or restored server up to date.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from realtime_gateway.errors import HostListInvalid
from realtime_gateway.hosts import Comparison, HostList, Shard
from realtime_gateway.layer import names
from realtime_gateway.layer.machine.actions import Call, UseShards
from realtime_gateway.layer.machine.events import Refusal
from realtime_gateway.layer.machine.limits import Identity, Limits

# A fence takes milliseconds; a server that hangs is given up after seconds, by its link.
_PATIENCE_SECONDS = 1.0


class FenceCall:
    """The purpose of a fence call: the epoch it was to set."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Epochs:
    """The host list in use, and the newer one that is being adopted, if any.

    Args:
        word: a random word for data sets that have none.
        emit: takes the actions.

    Attributes:
        answered: called with (shard, epoch, data-set word, server time in ms) for each fence that was answered.
        ready: called with (shard, epoch) when the present link is fenced and may be written through.
        busy: whether something else has to be finished before a list can be used.
        adopting: called when sending has to stop.
        adopted: called with the list that now holds.
        invalid: called with the reason when a list or document is refused.
    """

    def __init__(
        self, identity: Identity, limits: Limits, hosts: HostList, word: str, emit: Callable[[Any], None]
    ) -> None:
        self._identity = identity
        self._limits = limits
        self._word = word
        self._emit = emit
        self._candidate: HostList | None = None  # the newest of all, none of whose shards has been reached yet
        self._target: HostList | None = None  # is being adopted
        self._links: dict[str, int | None] = {}  # shard → the epoch its present link has answered
        self._fencing: dict[str, FenceCall] = {}
        self._known = {shard.name: shard for shard in hosts.every_shard}
        self._to_finish: frozenset[str] = frozenset()
        self._led_to: dict[str, Shard] = {}  # by shard, where its link was dialled
        self._waiting_since: float | None = None  # for answers of shards to the list that is being adopted
        self.hosts = hosts
        self.answered: Callable[[str, int, str, int], None] = lambda shard, epoch, data_set, server_ms: None
        self.ready: Callable[[str, int], None] = lambda shard, epoch: None
        self.busy: Callable[[HostList], bool] = lambda target: False
        self.adopting: Callable[[], None] = lambda: None
        self.adopted: Callable[[HostList], None] = lambda hosts: None
        self.invalid: Callable[[str], None] = lambda reason: None

    @property
    def newest(self) -> HostList:
        """The newest list that is known."""
        return self._candidate or self._target or self.hosts

    def learn(self, hosts: HostList, where: str) -> None:
        """Hear of a host list; a newer one is adopted as soon as one of its shards is within reach."""
        if hosts.epoch <= self.newest.epoch or not self._limits.follow_hosts:
            if hosts.epoch == self.newest.epoch and not hosts.same_as(self.newest):
                self._conflict(where)
            return
        self._candidate = hosts
        self._known |= {shard.name: shard for shard in hosts.every_shard}
        self._emit(UseShards(self.shards_in_use()))
        self.advance()

    def learn_document(self, document: bytes, where: str) -> None:
        """Hear of a host list as a shard stores it."""
        if not document or not self._limits.follow_hosts:
            return
        try:
            self.learn(self._identity.documents.read(document, where), where)
        except HostListInvalid as error:
            self.invalid(str(error))

    def link_up(self, shard: str) -> None:
        """Fence the new link."""
        self._led_to |= {one.name: one for one in self.shards_in_use().shards if one.name == shard}
        self._links[shard] = None
        self._begin()
        self._fence(shard)

    def link_down(self, shard: str) -> None:
        """A shard out of reach is fenced by its next link."""
        self._links.pop(shard, None)
        self._fencing.pop(shard, None)
        self._led_to.pop(shard, None)
        if self.newest is not self.hosts:
            self._emit(UseShards(self.shards_in_use()))
        self.advance()

    def outdated(self, shard: str) -> None:
        """A shard is behind: fence it again."""
        if shard in self._links:
            self._fence(shard)

    def replied(self, shard: str, purpose: FenceCall, result: Any) -> None:
        """Take the answer to a fence."""
        if self._fencing.get(shard) is not purpose:
            return
        del self._fencing[shard]
        if isinstance(result, Refusal):
            # As good as out of reach: nobody waits for it, and the tick tries again.
            self._links[shard] = None
            self.advance()
            return
        epoch, document = int(result[0]), result[1]
        self._links[shard] = epoch
        self.answered(shard, epoch, result[2].decode(), int(result[3]))
        if epoch > self.newest.epoch and self._limits.follow_hosts:
            self.learn_document(document, f"shard {shard}")
        else:
            self._compare(shard, epoch, document)
            if self._target is None:
                self._offer(shard, epoch)
        self.advance()

    def unanswered(self) -> list[str]:
        """Shards whose link is up but not fenced, after an error: the tick tries them again."""
        return [shard for shard, epoch in self._links.items() if epoch is None and shard not in self._fencing]

    def shards_in_use(self) -> HostList:
        """Every shard that a link is wanted to: of lists that are not retired, and not yet read to its end."""
        lists = (self.hosts, self._target or self.hosts, self.newest)
        found = {shard.name: shard for hosts in lists for shard in hosts.every_shard}
        # A link stays until a list with another place is in use: the shard is fenced where it is before anybody leaves.
        in_use = {shard.name: shard for shard in self.hosts.every_shard}
        for name in found.keys() & self._led_to.keys():
            may_stay = self._led_to[name].place in {found[name].place, in_use.get(name, found[name]).place}
            found[name] = self._led_to[name] if may_stay else in_use.get(name, found[name])
        for name in sorted(self._to_finish):
            found.setdefault(name, self._known[name])
        return HostList(epoch=self.newest.epoch, shards=tuple(found.values()))

    def needed(self) -> frozenset[str]:
        """Shards that own something, or that something is still to be read of."""
        lists = (self.hosts, self._target or self.hosts, self.newest)
        return self._to_finish | {shard.name for hosts in lists for shard in hosts.shards}

    def settled(self) -> bool:
        """Whether every link leads to where the list in use has its shard."""
        in_use = self.hosts.every_shard
        return all(self._led_to.get(shard.name, shard).place == shard.place for shard in in_use)

    def finish(self, shards: frozenset[str]) -> None:
        """Keep links to shards that something is still to be read of, although no list names them any more."""
        if shards != self._to_finish:
            self._to_finish = shards
            self._emit(UseShards(self.shards_in_use()))

    def reachable(self) -> list[str]:
        """Shards whose link is up."""
        return list(self._links)

    def _offer(self, shard: str, epoch: int) -> None:
        # A pinned process writes under whatever epoch the shard is at; everyone else only under its own.
        if epoch == self.hosts.epoch or not self._limits.follow_hosts:
            self.ready(shard, epoch)

    def _compare(self, shard: str, epoch: int, document: bytes) -> None:
        """Look whether a shard that is where we are holds what we hold (protocol.md H17)."""
        if epoch != self.newest.epoch or not document or not self._limits.follow_hosts:
            return
        documents, key = self._identity.documents, self._identity.names.hosts
        found = documents.compare(document, self.newest)
        if found is Comparison.OTHER:
            self._conflict(f"shard {shard}")
        elif found is Comparison.TO_SIGN:
            self._emit(Call(shard, "sign", (key,), (document, documents.write(self.newest)), None))

    def _conflict(self, where: str) -> None:
        self.invalid(
            f"{where} holds another host list of epoch {self.newest.epoch} than the one in use, and it is not adopted."
            " A list that replaces another needs a greater epoch."
        )

    def _fence(self, shard: str) -> None:
        # Only with what is being adopted or in use: a list none of whose shards was ever reached fences nobody.
        hosts = self._target or self.hosts
        purpose = self._fencing[shard] = FenceCall(hosts.epoch)
        key_names = self._identity.names
        document = self._identity.documents.write(hosts) if hosts.epoch else ""
        topic = self._identity.topic(shard, names.CONTROL)
        keys = (key_names.epoch, key_names.hosts, key_names.data_set)
        self._emit(Call(shard, "fence", keys, (hosts.epoch, document, self._word, topic), purpose))

    def _begin(self) -> None:
        """Begin to adopt the newest list when one of its shards is within reach.

        Without, it may be a mistake: the list in use stays, and so does one that is just being adopted.
        """
        if self._candidate is None or not self._reaches(self._candidate):
            return
        was_adopting = self._target is not None
        self._waiting_since = None
        self._candidate, self._target = None, self._candidate
        if not was_adopting:
            self.adopting()

    def _reaches(self, hosts: HostList) -> bool:
        return any(shard.name in self._links for shard in hosts.shards)

    def tick(self, now: float) -> None:
        """Wait no longer for shards whose link is up and which do not answer: everybody's sending waits meanwhile.

        They are as good as out of reach. Nothing is written to one of them before it has answered its fence.
        """
        if self._target is None or not self._fencing:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since >= _PATIENCE_SECONDS:
            self.advance(patient=False)

    def advance(self, *, patient: bool = True) -> None:
        """Go on with an adoption, as far as the shards within reach have answered."""
        self._begin()
        target = self._target
        if target is None or not self._reaches(target):
            return
        behind = [shard for shard, epoch in self._links.items() if epoch is not None and epoch < target.epoch]
        for shard in behind:
            if shard not in self._fencing or self._fencing[shard].epoch < target.epoch:
                self._fence(shard)
        silent = self._fencing or behind
        if silent and (patient or not any(self._links.get(shard.name) == target.epoch for shard in target.shards)):
            return
        if self.busy(target):
            return
        self._target = None
        self.hosts = target
        self.adopted(target)
        self._emit(UseShards(self.shards_in_use()))
        for shard, known in self._links.items():
            if known is not None:
                self._offer(shard, known)
