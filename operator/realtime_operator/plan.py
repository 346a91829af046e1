"""What a pass has decided: actions in order, what it found, and when to look again. Frozen, without I/O.

Actions carry everything that performing them needs but passwords: those stay in one place of the performer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from realtime_gateway.hosts import HostList
from realtime_operator.snapshot import Address, Manifest, ObjectKey


@dataclass(frozen=True)
class Apply:
    """Server-side apply of one object. Its manifest may be a Secret's, so it is not shown."""

    manifest: Manifest = field(repr=False)

    @property
    def key(self) -> ObjectKey:
        """Which object."""
        return ObjectKey(self.manifest["kind"], self.manifest["metadata"]["name"])

    def __repr__(self) -> str:
        return f"Apply({self.key})"


@dataclass(frozen=True)
class CreatePasswords:
    """Create a Secret with a random password under each key; somebody else's having created it first is no error."""

    manifest: Manifest
    keys: tuple[str, ...]


@dataclass(frozen=True)
class RemoveForeign:
    """Remove what others have added to an object that is ours alone: a JSON patch for exactly the version seen."""

    key: ObjectKey
    patch: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Delete:
    """Delete one object, only if it is still the one with this uid."""

    key: ObjectKey
    uid: str


@dataclass(frozen=True)
class Evict:
    """Ask for a pod to go, within its disruption budget."""

    pod: str
    uid: str


@dataclass(frozen=True)
class MintHosts:
    """Write a new durable host list: create it (version None), or replace exactly that version."""

    hosts: HostList
    manifest: Manifest = field(repr=False)
    resource_version: str | None


@dataclass(frozen=True)
class AnnounceHosts:
    """Bring shards up to a host list, upwards only."""

    hosts: HostList
    shard: str
    primary: Address


@dataclass(frozen=True)
class Promote:
    """Tell a server that it is a primary."""

    shard: str
    server: Address


@dataclass(frozen=True)
class Follow:
    """Tell a server whom to follow."""

    shard: str
    server: Address
    primary: Address


@dataclass(frozen=True)
class Monitor:
    """Tell a Sentinel to monitor a shard's primary; ``anew`` makes it forget first what it knew of the name."""

    shard: str
    sentinel: Address
    master_name: str
    primary: Address
    quorum: int
    anew: bool = False


@dataclass(frozen=True)
class Forget:
    """Tell a Sentinel to stop monitoring a shard that is gone."""

    sentinel: Address
    master_name: str


@dataclass(frozen=True)
class SwitchOver:
    """Move a live primary without losing a write: pause, equal offsets, failover, demote."""

    shard: str
    master_name: str
    primary: Address
    sentinels: tuple[Address, ...]


Action = (
    Apply
    | CreatePasswords
    | RemoveForeign
    | Delete
    | Evict
    | MintHosts
    | AnnounceHosts
    | Promote
    | Follow
    | Monitor
    | Forget
    | SwitchOver
)


@dataclass(frozen=True)
class Finding:
    """Something that a condition should say. Of one type, the finding that a check put first wins."""

    type: str
    reason: str
    message: str


def some(names: Sequence[str], shown: int) -> str:
    """Names for a message: the first few, and how many more there are."""
    more = [f"{len(names) - shown} more"] if len(names) > shown else []
    return ", ".join([*names[:shown], *more])


@dataclass(frozen=True)
class Verdict:
    """What one check says.

    Attributes:
        facts: what holds now and matters only once it has held for a while.
        look_again_seconds: when to look again although nothing changes; None leaves it to changes.
        stop: whether the checks after this one must not act in this pass.
    """

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: frozenset[str] = frozenset()
    look_again_seconds: float | None = None
    stop: bool = False


NOTHING = Verdict()


@dataclass(frozen=True)
class Plan:
    """All verdicts of a pass, in the order of the checklist."""

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: frozenset[str] = frozenset()
    look_again_seconds: float | None = None

    def finding(self, type: str) -> Finding | None:
        """The first finding of a condition's type."""
        return next((finding for finding in self.findings if finding.type == type), None)


def merge(verdicts: tuple[Verdict, ...]) -> Verdict:
    """Put verdicts of one rank together, in order."""
    waits = [verdict.look_again_seconds for verdict in verdicts if verdict.look_again_seconds is not None]
    return Verdict(
        actions=tuple(action for verdict in verdicts for action in verdict.actions),
        findings=tuple(finding for verdict in verdicts for finding in verdict.findings),
        facts=frozenset(fact for verdict in verdicts for fact in verdict.facts),
        look_again_seconds=min(waits, default=None),
        stop=any(verdict.stop for verdict in verdicts),
    )


@dataclass(frozen=True)
class Outcome:
    """How one action ended.

    Attributes:
        reason: a reason of ``status.reasons``, or empty when it was done.
        permanent: whether trying again without a change cannot help.
    """

    action: Action
    reason: str = ""
    message: str = ""
    permanent: bool = False

    @property
    def done(self) -> bool:
        """Whether the action was carried out."""
        return not self.reason
