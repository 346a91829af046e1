"""Which Redis server is a shard's primary, when Sentinel cannot know it or does not agree.

Sentinel owns failover. The operator acts only where Sentinel has nothing to act on: at the first start, when Sentinels
or servers came back without a memory, and in states that are proven dead. The table, first row that applies:

    1  the Sentinels agree and that primary answers     make missing Sentinels and servers join it
    2  they agree, but that primary is away             Sentinel's job; act only when that has failed for long
    3  no Sentinel knows, one primary has replicas      that one
    4  no Sentinel knows, all answer, all are empty     ordinal 0
    5  no Sentinel knows, some have data                the longest of one history; wait 60 s for missing pods
    6  two primaries                                    the one with replicas, never by age
    7  anything needed is Unknown                       wait

"Sentinels agree" means that more than half of those that should exist name one address. Where fewer know anything but
none contradicts (a Sentinel on emptyDir forgets), their word is as good as long as that primary answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from realtime_operator.decide.scene import Scene
from realtime_operator.plan import Action, Finding, Follow, Monitor, Promote, Verdict
from realtime_operator.sentinel_terms import (
    FAILOVERS_FAIL_SECONDS,
    MISSING_PODS_SECONDS,
    STRAY_SECONDS,
    quorum,
)
from realtime_operator.snapshot import Address, Sentinel, Unknown
from realtime_operator.status import reasons


def repair(scene: Scene) -> Verdict:
    """Apply the table to one shard."""
    for row in ROWS:
        verdict = row(scene)
        if verdict is not None:
            return _with_facts(verdict, _contradicted(scene)) if scene.contradicted else verdict
    return _blocked(scene, "no rule covers what its servers and Sentinels say")


def _agreed_and_answering(scene: Scene) -> Verdict | None:
    """Row 1: make everyone join the primary that Sentinel names."""
    primary = scene.agreed or _only_name(scene)
    if primary is None or primary not in scene.primaries or scene.failing_over:
        return None
    return _gather(scene, primary)


def _agreed_and_away(scene: Scene) -> Verdict | None:
    """Row 2: Sentinel's job, unless it has had no good replica for long and every server was seen."""
    if scene.agreed is None and not scene.failing_over:
        return None
    if scene.failing_over:
        return _failover(scene, "its Sentinels are choosing a new primary")
    if _all_seen_and_parked(scene):
        return _choose(scene, _finding(scene, reasons.DATA_LOST, "every server came back empty at the same time"))
    fact = scene.fact("the agreed primary is away")
    if not scene.unseen and scene.held(fact) > FAILOVERS_FAIL_SECONDS:
        return _with_facts(_with_replicas(scene) or _choose(scene), fact)
    return _failover(scene, f"its primary {scene.agreed} does not answer as one", fact)


def _known_to_none_with_replicas(scene: Scene) -> Verdict | None:
    """Rows 3 and 6, unless a Sentinel that does not answer may know better."""
    return _with_replicas(scene) if scene.votes or not scene.silent_sentinels else None


def _with_replicas(scene: Scene) -> Verdict | None:
    """The primary that has replicas; never the older or the younger one."""
    followed = [address for address in scene.primaries if scene.servers[address].attached]
    if len(followed) == 1:
        return _gather(scene, followed[0])
    if len(scene.primaries) == 1 and len(scene.shard.members) == 1:
        return _gather(scene, scene.primaries[0])
    return None


def _contradiction(scene: Scene) -> Verdict | None:
    """Sentinels that say different things, or name a server that is none, get their time; then they do not count."""
    if not scene.contradicted or scene.held(_contradicted(scene)) > STRAY_SECONDS:
        return None
    finding = _finding(scene, reasons.NO_QUORUM, "its Sentinels do not agree on a primary")
    return Verdict(findings=(finding,), look_again_seconds=1)


def _needed_is_unknown(scene: Scene) -> Verdict | None:
    """Row 7: whoever does not answer may be the primary."""
    silent = [member for member in scene.unseen if member.pod is not None and not member.pod.deleting]
    if not silent and not scene.silent_sentinels:
        return None
    names = [f"server {member.ordinal}" for member in silent]
    names += [f"Sentinel {sentinel.ordinal}" for sentinel in scene.silent_sentinels]
    return Verdict(
        findings=(_finding(scene, reasons.UNKNOWN, f"waiting for {', '.join(names)} to answer"),), look_again_seconds=1
    )


def _known_to_none_and_empty(scene: Scene) -> Verdict | None:
    """Row 4: everyone answers and nobody has anything to lose."""
    if scene.unseen or not all(server.empty for server in scene.servers.values()):
        return None
    return _start(scene, next(iter(scene.servers)))


def _known_to_none_with_data(scene: Scene) -> Verdict | None:
    """Row 5: the longest of one history. A pod that is missing may have been ahead, so it gets its time to return."""
    fact = scene.fact("servers are missing and no primary is known")
    if not scene.unseen:
        return _choose(scene)
    missing = ", ".join(str(member.ordinal) for member in scene.unseen)
    if any(not server.empty for server in scene.servers.values()) and scene.held(fact) > MISSING_PODS_SECONDS:
        loss = _finding(scene, reasons.DATA_LOSS_POSSIBLE, f"started without having seen server {missing}")
        return _with_facts(_choose(scene, loss), fact)
    return Verdict(
        findings=(_finding(scene, reasons.BOOTSTRAP_BLOCKED, f"waiting for server {missing}"),),
        facts=frozenset({fact}),
        look_again_seconds=1,
    )


ROWS: tuple[Callable[[Scene], Verdict | None], ...] = (
    _agreed_and_answering,
    _agreed_and_away,
    _contradiction,
    _known_to_none_with_replicas,
    _needed_is_unknown,
    _known_to_none_and_empty,
    _known_to_none_with_data,
)


def _contradicted(scene: Scene) -> str:
    return scene.fact("its Sentinels contradict each other or the servers")


def _only_name(scene: Scene) -> Address | None:
    """The one address that some Sentinels name and none contradicts, where the others know nothing."""
    return next(iter(scene.votes)) if len(scene.votes) == 1 else None


def _all_seen_and_parked(scene: Scene) -> bool:
    """Whether the shard is proven dead: every server answers, none has a primary, and none holds anything."""
    return not scene.unseen and all(server.parked and server.empty for server in scene.servers.values())


def _choose(scene: Scene, *findings: Finding) -> Verdict:
    """Start from the server that has most of the commonest history; the least ordinal where that is equal."""
    servers = scene.servers
    holders = {address: server for address, server in servers.items() if not server.empty} or servers
    histories = Counter(server.replication_id for server in holders.values())

    def rank(address: Address) -> tuple[int, int, int]:
        # A server restarted from its append-only file may have forgotten its offset; then its keys speak.
        server = holders[address]
        return (histories[server.replication_id], server.offset, server.keys)

    return _start(scene, max(holders, key=rank), *findings)


def _start(scene: Scene, primary: Address, *findings: Finding) -> Verdict:
    """Make one server the primary, everyone follow it and every Sentinel monitor it."""
    promote = () if primary in scene.primaries else (Promote(scene.shard.name, primary),)
    actions: list[Action] = [*promote, *_joins(scene, primary, at_once=True), *_monitors(scene, primary, at_once=True)]
    starting = _finding(scene, reasons.FAILOVER_IN_PROGRESS, f"starting from {primary}")
    return Verdict(actions=tuple(actions), findings=(*findings, starting), look_again_seconds=1)


def _gather(scene: Scene, primary: Address) -> Verdict:
    """Make everyone join a primary that answers; what Sentinel can do itself it gets ten seconds for."""
    actions: tuple[Action, ...] = (*_joins(scene, primary), *_monitors(scene, primary))
    facts = {_stray_server(scene, address) for address in _astray(scene, primary)}
    facts |= {_stray_sentinel(scene, sentinel) for sentinel in scene.sentinels if _strays(scene, sentinel, primary)}
    wait = 1 if actions or facts else None
    return Verdict(
        actions=actions, findings=_shortfalls(scene, primary), facts=frozenset(facts), look_again_seconds=wait
    )


def _joins(scene: Scene, primary: Address, *, at_once: bool = False) -> Iterable[Action]:
    for address in _astray(scene, primary):
        patient = scene.servers[address].parked or at_once
        if patient or scene.held(_stray_server(scene, address)) > STRAY_SECONDS:
            yield Follow(scene.shard.name, address, primary)


def _astray(scene: Scene, primary: Address) -> Iterable[Address]:
    return (address for address, server in scene.servers.items() if primary not in (address, server.follows))


def _monitors(scene: Scene, primary: Address, *, at_once: bool = False) -> Iterable[Action]:
    for sentinel in scene.sentinels:
        if sentinel.address is None or isinstance(sentinel.answers, Unknown):
            continue
        strays = _strays(scene, sentinel, primary)
        if strays and not at_once and scene.held(_stray_sentinel(scene, sentinel)) <= STRAY_SECONDS:
            continue
        if strays or scene.answer(sentinel) is None:
            terms = (scene.shard.master_name, primary, quorum(len(scene.sentinels)))
            yield Monitor(scene.shard.name, sentinel.address, *terms, anew=strays)


def _strays(scene: Scene, sentinel: Sentinel, primary: Address) -> bool:
    answer = scene.answer(sentinel)
    return answer is not None and answer.primary != primary


def _stray_server(scene: Scene, address: Address) -> str:
    return scene.fact(f"{address} does not follow the primary")


def _stray_sentinel(scene: Scene, sentinel: Sentinel) -> str:
    return scene.fact(f"Sentinel {sentinel.ordinal} names another primary")


def _shortfalls(scene: Scene, primary: Address) -> tuple[Finding, ...]:
    """What a shard that works still lacks."""
    findings = []
    answering = len(scene.sentinels) - len(scene.silent_sentinels)
    if answering < quorum(len(scene.sentinels)):
        findings.append(
            _finding(scene, reasons.NO_QUORUM, f"only {answering} of {len(scene.sentinels)} Sentinels answer")
        )
    attached = len(scene.servers[primary].attached)
    wanted = len(scene.shard.members) - 1
    if attached < wanted:
        findings.append(_finding(scene, reasons.REPLICA_MISSING, f"{attached} of {wanted} replicas are attached"))
    return tuple(findings)


def _failover(scene: Scene, what: str, *facts: str) -> Verdict:
    finding = _finding(scene, reasons.FAILOVER_IN_PROGRESS, what)
    return Verdict(findings=(finding,), facts=frozenset(facts), look_again_seconds=1)


def _blocked(scene: Scene, why: str) -> Verdict:
    return Verdict(findings=(_finding(scene, reasons.BOOTSTRAP_BLOCKED, why),), look_again_seconds=5)


def _with_facts(verdict: Verdict, *facts: str) -> Verdict:
    return Verdict(verdict.actions, verdict.findings, verdict.facts | set(facts), verdict.look_again_seconds)


def _finding(scene: Scene, reason: str, message: str) -> Finding:
    return Finding(reasons.REDIS_HEALTHY, reason, f"Shard {scene.shard.name}: {message}.")
