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
# As many newer lists are kept of which no shard can be reached: those that were heard of last.
_CANDIDATES = 4


class FenceCall:
    """The purpose of a fence call: the epoch it was to set."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch


class Epochs:
    """The host list in use, and the newer one that is being adopted, if any.

    Args:
        word: a random word, from which those for data sets that have none are made.
        emit: takes the actions.

    Attributes:
        answered: called with (shard, epoch, data-set word, server time in ms) for each fence that was answered.
        ready: called with (shard, epoch) when the present link is fenced and may be written through.
        busy: whether something else has to be finished before a list can be used.
        unused: whether nothing has been sent, asked for or read yet.
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
        self._words = 0
        self._emit = emit
        self._candidates: dict[int, HostList] = {}  # by epoch, newer ones none of whose shards has been reached yet
        self._target: HostList | None = None  # is being adopted
        self._links: dict[str, int | None] = {}  # shard → the epoch its present link has answered
        self._was_linked = False
        self._fencing: dict[str, FenceCall] = {}
        self._known = {shard.name: shard for shard in hosts.every_shard}
        self._to_finish: frozenset[str] = frozenset()
        self._led_to: dict[str, Shard] = {}  # by shard, where its link was dialled
        self._failed_at: dict[str, tuple[str, str] | None] = {}  # by shard, where it was last looked for in vain
        self._waiting_since: float | None = None  # for answers of shards to the list that is being adopted
        self.hosts = hosts
        self.answered: Callable[[str, int, str, int], None] = lambda shard, epoch, data_set, server_ms: None
        self.ready: Callable[[str, int], None] = lambda shard, epoch: None
        self.busy: Callable[[HostList], bool] = lambda target: False
        self.unused: Callable[[], bool] = lambda: False
        self.adopting: Callable[[], None] = lambda: None
        self.adopted: Callable[[HostList], None] = lambda hosts: None
        self.invalid: Callable[[str], None] = lambda reason: None

    @property
    def newest(self) -> HostList:
        """The newest list that is known, within reach or not."""
        return self._candidates[max(self._candidates)] if self._candidates else self.present

    @property
    def present(self) -> HostList:
        """The list that is being adopted, or else the one in use."""
        return self._target or self.hosts

    def learn(self, hosts: HostList, where: str) -> None:
        """Hear of a host list; a newer one is adopted as soon as one of its shards is within reach."""
        known = self.present if hosts.epoch == self.present.epoch else self._candidates.get(hosts.epoch)
        if known is not None and not hosts.same_as(known):
            self._conflict(where, hosts.epoch)
        if known is not None or hosts.epoch < self.present.epoch or not self._limits.follow_hosts:
            return
        while len(self._candidates) >= _CANDIDATES:
            del self._candidates[next(iter(self._candidates))]
        self._candidates[hosts.epoch] = hosts
        self._known |= {shard.name: shard for shard in hosts.every_shard}
        if not self._was_linked and self.unused():
            # As if it had been there when this process was made: no list that was retired since concerns anybody here.
            del self._candidates[hosts.epoch]
            self.hosts = hosts
            self.adopted(hosts)
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
        self._failed_at.pop(shard, None)
        self._links[shard] = None
        self._was_linked = True
        self._begin()
        self._fence(shard)

    def link_down(self, shard: str) -> None:
        """A shard out of reach is fenced by its next link."""
        self._links.pop(shard, None)
        self._fencing.pop(shard, None)
        looked_for = self.shards_in_use().shards
        self._led_to.pop(shard, None)
        if self.newest is not self.hosts:
            self._failed_at[shard] = next((one.place for one in looked_for if one.name == shard), None)
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
        if epoch > self.present.epoch and self._limits.follow_hosts:
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
        lists = (self.hosts, self.present, *(self._candidates[epoch] for epoch in sorted(self._candidates)))
        forms: dict[str, list[Shard]] = {}  # of each shard, the oldest first
        for hosts in lists:
            for shard in hosts.every_shard:
                forms.setdefault(shard.name, []).append(shard)
        found = {name: self._where(name, of_name) for name, of_name in forms.items()}
        for name in sorted(self._to_finish):
            found.setdefault(name, self._known[name])
        return HostList(epoch=self.newest.epoch, shards=tuple(found.values()))

    def _where(self, name: str, forms: list[Shard]) -> Shard:
        """Choose where a link leads to: of lists that are not in use yet, each may have a shard at another place."""
        led_to = self._led_to.get(name)
        if led_to is not None:
            # A link stays until a list with another place is in use: a shard is fenced where it is before it is left.
            may_stay = any(led_to.place == form.place for form in forms)
            return led_to if may_stay else next((one for one in self.hosts.every_shard if one.name == name), forms[-1])
        places = {form.place: form for form in reversed(forms)}  # the newest first
        failed = self._failed_at.get(name)
        if failed is None or failed not in places:
            return forms[-1]
        order = list(places)
        return places[order[(order.index(failed) + 1) % len(order)]]

    def needed(self) -> frozenset[str]:
        """Shards that own something, or that something is still to be read of."""
        lists = (self.hosts, self.present)
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
        if epoch != self.present.epoch or not document or not self._limits.follow_hosts:
            return
        documents, key = self._identity.documents, self._identity.names.hosts
        found = documents.compare(document, self.present)
        if found is Comparison.OTHER:
            self._conflict(f"shard {shard}", epoch)
        elif found is Comparison.TO_SIGN:
            self._emit(Call(shard, "sign", (key,), (document, documents.write(self.present)), None))

    def _conflict(self, where: str, epoch: int) -> None:
        self.invalid(
            f"{where} holds another host list of epoch {epoch} than the one in use, and it is not adopted."
            " A list that replaces another needs a greater epoch."
        )

    def _fence(self, shard: str) -> None:
        # Only with what is being adopted or in use: a list none of whose shards was ever reached fences nobody.
        hosts = self.present
        purpose = self._fencing[shard] = FenceCall(hosts.epoch)
        key_names = self._identity.names
        document = self._identity.documents.write(hosts) if hosts.epoch else ""
        topic = self._identity.topic(shard, names.CONTROL)
        keys = (key_names.epoch, key_names.hosts, key_names.data_set)
        # Another word each time: a shard that is emptied again and again has other data each time.
        self._words += 1
        self._emit(Call(shard, "fence", keys, (hosts.epoch, document, f"{self._word}-{self._words}", topic), purpose))

    def _begin(self) -> None:
        """Begin to adopt the newest list when one of its shards is within reach.

        Without, it may be a mistake: the list in use stays, and so does one that is just being adopted.
        """
        reached = [epoch for epoch, hosts in self._candidates.items() if self._reaches(hosts)]
        if not reached:
            return
        was_adopting, chosen, newest = self._target is not None, max(reached), self.newest
        self._waiting_since = None
        self._target = self._candidates[chosen]
        self._candidates = {epoch: hosts for epoch, hosts in self._candidates.items() if epoch > chosen}
        if newest.epoch > chosen:
            self.invalid(
                f"None of the shards of the host list of epoch {newest.epoch} can be reached. Until one can, the list"
                f" of epoch {chosen} is used, which is newer than the one before as well."
            )
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
