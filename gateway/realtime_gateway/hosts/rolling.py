"""Changing the shards of a host list: which step comes next, for the operator, `up` and `hosts set` alike.

    new shards ready ─► a list of the next epoch, with the lists before it ─► every shard is told ─► every process
    reports that epoch, for longer than messages live ─► one more epoch without the earlier lists ─► every process
    reports that ─► shards in no list may end

Every step is found from what can be seen, never remembered, so whoever carries them out may die anywhere and begin
again. The durable copy of the list (a ConfigMap, a file) is what allots epochs: a list exists when it has been written
there. Where that copy, the shards and what is known otherwise disagree, the greatest epoch wins and is written
everywhere; one epoch with two contents is ended by a newer one.

Whoever carries out steps may have no keys to check what a shard holds (``hosts.signing``), and every process trusts the
durable copy. So a list is taken over from a shard only if it names no server that is not known from elsewhere; of any
other only the epoch counts, above which the next list is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from realtime_gateway.hosts.document import HostList, Shard


@dataclass(frozen=True)
class Wanted:
    """What the list should become.

    Attributes:
        shards: of the list.
        expiry_seconds: how long a message may wait, and so how long an earlier owner may still hold one; or longer,
            where a process reports so.
        unready: names of shards among them that may not join a list yet.
        managed_by: written into every list that is made.
        known: shards that lists on shards may name beside these and those of the durable copy, such as leaving ones.
    """

    shards: tuple[Shard, ...]
    expiry_seconds: float
    unready: tuple[str, ...] = ()
    managed_by: str = ""
    known: tuple[Shard, ...] = ()


@dataclass(frozen=True)
class Report:
    """What a process says of itself: what people call it, the epoch whose moves it has finished, its messages' life."""

    name: str
    epoch: int
    expiry_seconds: float = 0.0


@dataclass(frozen=True)
class Seen:
    """What there is.

    Attributes:
        durable: the durable copy; None where there is none.
        damaged: why the durable copy cannot be read; empty when it can, or is not there.
        stored: the list on each shard that answered; None where it has none.
        unanswered: names of shards that did not say what they hold.
        floor: an epoch that is known to have been used, from elsewhere.
        reports: of every process that lives; None when nobody could be asked.
        settled_seconds: for how long, without a break, ``Roll.settled`` has been so for the durable copy's epoch.
    """

    durable: HostList | None
    damaged: str = ""
    stored: Mapping[str, HostList | None] = field(default_factory=dict)
    unanswered: tuple[str, ...] = ()
    floor: int = 0
    reports: tuple[Report, ...] | None = ()
    settled_seconds: float = 0.0


class Why(Enum):
    """Why a list is written."""

    FIRST = "there is none"
    DELETED = "the durable copy is gone, and the shards have this one"
    DAMAGED = "the durable copy cannot be read"
    SHARDS_AHEAD = "the shards have a newer one"
    CONFLICT = "one epoch has two contents"
    STRANGE = "a shard has a newer one, with shards that nobody here knows"
    SET_BACK = "a greater epoch has been used before"
    RESHARD = "other shards are wanted"
    RETIRE = "nobody uses the earlier lists any more"


@dataclass(frozen=True)
class Mint:
    """Write this list as the durable copy, if that is still what was seen."""

    hosts: HostList
    why: Why


@dataclass(frozen=True)
class Pending:
    """There is no list and none can be made yet: these shards are not ready, or did not say what they hold."""

    unready: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Roll:
    """The durable copy stands.

    Attributes:
        tell: names of shards that hold an older list, and can be told; none where the processes sign what shards hold.
        unreached: names of shards that hold an older one, or may, and cannot be told.
        behind: what the processes are called that do not report the epoch yet; None when nobody could be asked.
        unready: names of wanted shards that another list waits for.
        retiring: whether there are earlier lists.
        settled: whether every shard and process is at this epoch, so that ``settled_seconds`` counts.
        expiry_seconds: how long it has to stay so before earlier lists are retired.
    """

    tell: tuple[str, ...] = ()
    unreached: tuple[str, ...] = ()
    behind: tuple[str, ...] | None = ()
    unready: tuple[str, ...] = ()
    retiring: bool = False
    settled: bool = False
    expiry_seconds: float = field(default=0.0, compare=False)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do, so that shards in no list may end."""
        return self.settled and not self.retiring and not self.unready


def next_step(wanted: Wanted, seen: Seen) -> Mint | Pending | Roll:
    """Return what to do now."""
    ours = (*wanted.shards, *wanted.known, *_shards_of(seen.durable))
    stored = [hosts for hosts in seen.stored.values() if hosts]
    familiar = [hosts for hosts in stored if not strangers(hosts, ours)]
    newest = max(familiar, key=lambda hosts: hosts.epoch, default=None)
    floor = max((seen.floor, *(hosts.epoch for hosts in stored if hosts not in familiar)))
    above = Why.SET_BACK if floor == seen.floor else Why.STRANGE
    seen = replace(seen, floor=floor)
    if seen.damaged:
        # What the shards hold is the newest that is known.
        known = newest or HostList(max(seen.floor, 1), wanted.shards)
        return Mint(_after(known, known.shards, wanted), Why.DAMAGED)
    if seen.durable is None:
        return _first(wanted, seen, newest)
    return _ahead(wanted, seen, seen.durable, newest, above) or _onward(wanted, seen, seen.durable)


def strangers(hosts: HostList, known: Iterable[Shard]) -> tuple[Shard, ...]:
    """Return the shards of a list, and of its earlier ones, that are not among the known by name and place."""
    places = {shard.place for shard in known}
    return tuple(shard for shard in _shards_of(hosts) if shard.place not in places)


def same_shards(one: Sequence[Shard], other: Sequence[Shard]) -> bool:
    """Whether two lists name the same shards in the same way."""
    return HostList(1, tuple(one)).same_as(HostList(1, tuple(other)))


def _first(wanted: Wanted, seen: Seen, newest: HostList | None) -> Mint | Pending:
    """Without a durable copy: the shards' own list if they have one, else the first one, when every shard is ready."""
    if newest is not None and newest.epoch >= seen.floor:
        return Mint(newest, Why.DELETED)
    if seen.unanswered or wanted.unready:
        return Pending(wanted.unready, seen.unanswered)
    return Mint(HostList(seen.floor + 1, wanted.shards, managed_by=wanted.managed_by), Why.FIRST)


def _shards_of(hosts: HostList | None) -> tuple[Shard, ...]:
    # Of every list by itself: one name may be at another place in an earlier list.
    return () if hosts is None else tuple(shard for one in (hosts, *hosts.earlier) for shard in one.shards)


def _ahead(wanted: Wanted, seen: Seen, durable: HostList, newest: HostList | None, above: Why) -> Mint | None:
    """A list that is ahead of everything that disagrees with the durable copy; None when nothing does."""
    if newest is not None and newest.epoch > durable.epoch:
        return Mint(newest, Why.SHARDS_AHEAD)
    if any(hosts and hosts.epoch == durable.epoch and not hosts.same_as(durable) for hosts in seen.stored.values()):
        return Mint(_after(durable, durable.shards, wanted), Why.CONFLICT)
    if seen.floor > durable.epoch:
        return Mint(replace(_after(durable, durable.shards, wanted), epoch=seen.floor + 1), above)
    return None


def _onward(wanted: Wanted, seen: Seen, durable: HostList) -> Mint | Roll:
    """From the durable copy to what is wanted."""
    lives = [wanted.expiry_seconds, *(report.expiry_seconds for report in seen.reports or ())]
    roll = replace(_roll(seen, durable), expiry_seconds=max(lives))
    if not same_shards(wanted.shards, durable.shards):
        if wanted.unready:
            return replace(roll, unready=wanted.unready)
        return Mint(_after(durable, wanted.shards, wanted), Why.RESHARD)
    if roll.retiring and roll.settled and seen.settled_seconds > roll.expiry_seconds:
        return Mint(_after(durable, durable.shards, wanted, forget=True), Why.RETIRE)
    return roll


def _roll(seen: Seen, durable: HostList) -> Roll:
    tell, unreached = [], []
    for shard in durable.every_shard:
        if shard.name in seen.unanswered:
            unreached.append(shard.name)
        elif shard.name in seen.stored and not _holds(seen, shard.name, durable.epoch):
            tell.append(shard.name)
    reports = seen.reports
    behind = None if reports is None else tuple(one.name for one in reports if one.epoch < durable.epoch)
    # Processes that sign what shards hold refuse what nobody has signed: then they tell the shards, and where none of
    # them lives there is nobody who would have to be told.
    signed = any(hosts and hosts.signature for hosts in seen.stored.values())
    nobody = signed and reports == ()
    looked_at = {*seen.stored, *seen.unanswered}
    told = all(_holds(seen, s.name, durable.epoch) for s in durable.shards if s.name in looked_at) or nobody
    return Roll(
        tell=() if signed else tuple(tell),
        unreached=tuple(unreached),
        behind=behind,
        retiring=bool(durable.earlier),
        settled=told and behind == (),
    )


def _holds(seen: Seen, name: str, epoch: int) -> bool:
    hosts = seen.stored.get(name)
    return name in seen.stored and (hosts.epoch if hosts else 0) >= epoch


def _after(hosts: HostList, shards: Sequence[Shard], wanted: Wanted, *, forget: bool = False) -> HostList:
    """The list after this one, which keeps it and its earlier ones until they are retired."""
    earlier = () if forget else (replace(hosts, earlier=(), managed_by=""), *hosts.earlier)
    return HostList(hosts.epoch + 1, tuple(shards), earlier, wanted.managed_by)
