"""Replacing Redis and Sentinel pods with ones of the present template: one at a time, and only while all is well.

Sentinels first, then replicas, a primary last: it is moved away by a planned switchover, which loses nothing, and then
is a replica like any other. A pod that does not run anyway is replaced without waiting for the others, so that a bad
template can be put right by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from realtime_operator.objects import identity
from realtime_operator.plan import Evict, Finding, SwitchOver, Verdict
from realtime_operator.snapshot import Member, Monitored, ObjectKey, Role, Sentinel, Server, Shard, Snapshot, Unknown
from realtime_operator.status import reasons
from realtime_operator.target import Target

WAIT_SECONDS = 2


def redis_pods(target: Target, snapshot: Snapshot) -> Verdict:
    """The next step of an upgrade, if one is under way."""
    outdated = [place for place in _places(target, snapshot) if _outdated(target, snapshot, place)]
    if not outdated:
        return Verdict()
    names = ", ".join(place.pod.name for place in outdated if place.pod is not None)
    progress = Finding(reasons.PROGRESSING, reasons.UPGRADING_REDIS, f"Still to be replaced: {names}.")
    for place in outdated:
        if place.pod is not None and not place.pod.ready and not place.pod.deleting:
            return Verdict((Evict(place.pod.name, place.pod.uid),), (progress,), look_again_seconds=WAIT_SECONDS)
    if not _all_well(snapshot):
        return Verdict(findings=(progress,), look_again_seconds=WAIT_SECONDS)
    return _replace(snapshot, sorted(outdated, key=_rank)[0], progress)


def _replace(snapshot: Snapshot, place: Member | Sentinel, progress: Finding) -> Verdict:
    assert place.pod is not None, "only a pod that was seen is outdated"
    shard = _shard_of(snapshot, place)
    if shard is not None and len(shard.members) > 1 and _rank(place) == 2:
        assert isinstance(place, Member)
        assert place.address is not None, "a server that answers was asked at its address"
        sentinels = tuple(sentinel.address for sentinel in snapshot.sentinels if sentinel.address is not None)
        moved = Finding(reasons.PROGRESSING, reasons.SWITCHING_OVER, f"Moving the primary of {shard.name}.")
        move = SwitchOver(shard.name, shard.master_name, place.address, sentinels)
        return Verdict((move,), (moved, progress), look_again_seconds=WAIT_SECONDS)
    return Verdict((Evict(place.pod.name, place.pod.uid),), (progress,), look_again_seconds=WAIT_SECONDS)


def _rank(place: Member | Sentinel) -> int:
    if isinstance(place, Sentinel):
        return 0
    return 2 if isinstance(place.server, Server) and place.server.role is Role.PRIMARY else 1


def _places(target: Target, snapshot: Snapshot) -> Iterator[Member | Sentinel]:
    if target.spec.redis.managed is None:
        return
    yield from snapshot.sentinels
    for shard in snapshot.shards:
        yield from shard.members


def _outdated(target: Target, snapshot: Snapshot, place: Member | Sentinel) -> bool:
    """Whether a pod was made from an earlier template than its StatefulSet has now."""
    if place.pod is None or place.pod.deleting:
        return False
    shard = _shard_of(snapshot, place)
    name = identity.sentinel_set(target) if shard is None else shard.name
    revision = _present_revision(snapshot.objects.get(ObjectKey("StatefulSet", name), {}))
    return bool(revision) and place.pod.revision != revision


def _present_revision(stateful_set: Mapping[str, Mapping[str, object]]) -> str:
    """The revision of the present template; empty while the controller has not seen the present template."""
    status = stateful_set.get("status", {})
    if status.get("observedGeneration") != stateful_set.get("metadata", {}).get("generation"):
        return ""
    return str(status.get("updateRevision", ""))


def _shard_of(snapshot: Snapshot, place: Member | Sentinel) -> Shard | None:
    return next((shard for shard in snapshot.shards if place in shard.members), None)


def _all_well(snapshot: Snapshot) -> bool:
    """Whether one pod may go: all run, every shard has all its replicas in step, every Sentinel knows its primary."""
    pods = [place.pod for shard in snapshot.shards for place in shard.members]
    pods += [sentinel.pod for sentinel in snapshot.sentinels]
    running = all(pod is not None and pod.ready and not pod.deleting for pod in pods)
    return running and all(_whole(shard, snapshot.sentinels) for shard in snapshot.shards)


def _whole(shard: Shard, sentinels: tuple[Sentinel, ...]) -> bool:
    primaries = [m for m in shard.members if isinstance(m.server, Server) and m.server.role is Role.PRIMARY]
    if len(primaries) != 1 or not isinstance(primaries[0].server, Server):
        return False
    known = Monitored(primaries[0].address) if primaries[0].address is not None else None
    agreed = all(
        not isinstance(sentinel.answers, Unknown) and sentinel.answers.get(shard.master_name) == known
        for sentinel in sentinels
    )
    return agreed and len(primaries[0].server.attached) == len(shard.members) - 1
