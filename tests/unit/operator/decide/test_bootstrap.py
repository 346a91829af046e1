"""The bootstrap and repair table, a case per sentence."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from tests.support.operator_scenes import AWAY, MASTER, NO_POD, A, B, C, parked, primary, replica, scene

from realtime_operator.decide.bootstrap import repair
from realtime_operator.decide.scene import Scene
from realtime_operator.plan import Action, Follow, Monitor, Promote
from realtime_operator.status import reasons

SHARD = "chat-redis-0"
PATIENCE = 3600.0


def monitor(n: int, address: tuple[str, int], *, anew: bool = False) -> Monitor:
    from realtime_operator.snapshot import Address

    return Monitor(SHARD, Address(f"10.0.1.{n}", 26379), MASTER, Address(*address), 2, anew)


def everyone(address: tuple[str, int], *, anew: bool = False) -> list[Action]:
    return [monitor(n, address, anew=anew) for n in range(3)]


@dataclass(frozen=True)
class Case:
    scene: Scene
    actions: list[Action] = field(default_factory=list)
    reason: str | None = None


ALL_WELL = {A: primary(B, C), B: replica(A), C: replica(A)}

CASES = {
    "a shard in order is left alone": Case(scene(ALL_WELL, [A, A, A])),
    "row 1: a Sentinel that was told nothing is told": Case(scene(ALL_WELL, [A, A, None]), [monitor(2, A)]),
    "row 1: one Sentinel that remembers is as good as a majority when that primary answers": Case(
        scene(ALL_WELL, [None, A, None]), [monitor(0, A), monitor(2, A)]
    ),
    "row 1: a Sentinel that names another primary gets ten seconds": Case(scene(ALL_WELL, [A, A, B])),
    "row 1: after ten seconds it is told anew": Case(scene(ALL_WELL, [A, A, B], held=11), [monitor(2, A, anew=True)]),
    "row 1: a parked server joins at once": Case(
        scene({A: primary(C), B: parked(), C: replica(A)}, [A, A, A]), [Follow(SHARD, B, A)], reasons.REPLICA_MISSING
    ),
    "row 1: a replica that follows someone else gets ten seconds": Case(
        scene({A: primary(B), B: replica(A), C: replica(B)}, [A, A, A]), reason=reasons.REPLICA_MISSING
    ),
    "row 1: after ten seconds it is told whom to follow": Case(
        scene({A: primary(B), B: replica(A), C: replica(B)}, [A, A, A], held=11),
        [Follow(SHARD, C, A)],
        reasons.REPLICA_MISSING,
    ),
    "row 1: a replica that does not answer changes nothing": Case(
        scene({A: primary(B), B: replica(A), C: AWAY}, [A, A, A]), reason=reasons.REPLICA_MISSING
    ),
    "row 1: a Sentinel that does not answer is not told anything": Case(scene(ALL_WELL, [A, A, AWAY])),
    "row 1: a primary whose Sentinels are too few keeps serving, and says so": Case(
        scene(ALL_WELL, [A, AWAY, AWAY]), reason=reasons.NO_QUORUM
    ),
    "row 2: an agreed primary that is away is Sentinel's job": Case(
        scene({A: AWAY, B: replica(A, up=False), C: replica(A, up=False)}, [A, A, A]),
        reason=reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 2: however long it lasts, while a server was not seen": Case(
        scene({A: AWAY, B: replica(A, up=False), C: replica(A, up=False)}, [A, A, A], held=PATIENCE),
        reason=reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 2: nothing is done in the middle of a failover": Case(
        scene({A: AWAY, B: primary(), C: replica(A, up=False)}, [A, A, B], failing_over=True, held=PATIENCE),
        reason=reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 2: every server seen and none a primary is still Sentinel's job at first": Case(
        scene({A: parked(), B: replica(A, up=False), C: replica(A, up=False, offset=90)}, [A, A, A]),
        reason=reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 2: when that has failed for twice the failover timeout, the longest history wins": Case(
        scene(
            {A: parked(), B: replica(A, up=False, offset=90), C: replica(A, up=False, offset=95)},
            [A, A, A],
            held=41,
        ),
        [Promote(SHARD, C), Follow(SHARD, A, C), Follow(SHARD, B, C), *everyone(C, anew=True)],
        reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 2: a shard that came back whole and empty is proven dead and starts at once": Case(
        scene({A: parked(), B: parked(), C: parked()}, [B, B, B]),
        [Promote(SHARD, A), Follow(SHARD, B, A), Follow(SHARD, C, A), *everyone(A, anew=True)],
        reasons.DATA_LOST,
    ),
    "row 3: a primary with replicas that no Sentinel knows is monitored": Case(
        scene(ALL_WELL, [None, None, None]), everyone(A)
    ),
    "row 3: the only server of a shard without replicas is monitored": Case(
        scene({A: primary()}, [None, None, None]), everyone(A)
    ),
    "row 3: a Sentinel that does not answer may know of another primary": Case(
        scene(ALL_WELL, [None, None, AWAY]), reason=reasons.UNKNOWN
    ),
    "row 4: the first start begins with ordinal 0": Case(
        scene({A: parked(), B: parked(), C: parked()}, [None, None, None]),
        [Promote(SHARD, A), Follow(SHARD, B, A), Follow(SHARD, C, A), *everyone(A)],
        reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 4: it waits for a server that does not answer yet": Case(
        scene({A: parked(), B: AWAY, C: parked()}, [None, None, None]), reason=reasons.UNKNOWN
    ),
    "row 4: it waits for a pod that is not there yet": Case(
        scene({A: parked(), B: NO_POD, C: parked()}, [None, None, None]), reason=reasons.BOOTSTRAP_BLOCKED
    ),
    "row 4: it never starts an empty server without having seen the others": Case(
        scene({A: parked(), B: NO_POD, C: parked()}, [None, None, None], held=PATIENCE),
        reason=reasons.BOOTSTRAP_BLOCKED,
    ),
    "row 5: the greatest offset of one history": Case(
        scene(
            {
                A: parked(keys=5, offset=100, history="h1"),
                B: parked(keys=6, offset=120, history="h1"),
                C: parked(keys=9, offset=900, history="other"),
            },
            [None, None, None],
        ),
        [Promote(SHARD, B), Follow(SHARD, A, B), Follow(SHARD, C, B), *everyone(B)],
        reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 5: an empty server never wins over one with data": Case(
        scene(
            {A: parked(offset=500, history="h1"), B: parked(keys=1, offset=2, history="h1"), C: parked()},
            [None, None, None],
        ),
        [Promote(SHARD, B), Follow(SHARD, A, B), Follow(SHARD, C, B), *everyone(B)],
        reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 5: a missing pod may have been ahead, so it is waited for": Case(
        scene({A: parked(keys=5), B: NO_POD, C: parked(keys=5)}, [None, None, None], held=59),
        reason=reasons.BOOTSTRAP_BLOCKED,
    ),
    "row 5: for a minute, and then it is said that data may be lost": Case(
        scene({A: parked(keys=5, offset=1), B: NO_POD, C: parked(keys=5, offset=2)}, [None, None, None], held=61),
        [Promote(SHARD, C), Follow(SHARD, A, C), *everyone(C)],
        reasons.DATA_LOSS_POSSIBLE,
    ),
    "row 6: of two primaries the one with replicas": Case(
        scene({A: primary(), B: primary(C), C: replica(B)}, [None, None, None], held=11),
        [Follow(SHARD, A, B), *everyone(B)],
        reasons.REPLICA_MISSING,
    ),
    "row 6: the one that Sentinel agrees on, where it does": Case(
        scene({A: primary(B), B: replica(A), C: primary()}, [A, A, A], held=11),
        [Follow(SHARD, C, A)],
        reasons.REPLICA_MISSING,
    ),
    "row 6: two primaries without replicas and without a word from Sentinel: the fuller history": Case(
        scene(
            {A: primary(offset=10), B: primary(offset=20), C: parked()},
            [None, None, None],
        ),
        [Follow(SHARD, A, B), Follow(SHARD, C, B), *everyone(B)],
        reasons.FAILOVER_IN_PROGRESS,
    ),
    "row 6: Sentinels that contradict each other get their time to agree": Case(
        scene({A: primary(), B: primary(C), C: replica(B)}, [A, B, None]), reason=reasons.NO_QUORUM
    ),
    "row 6: after ten seconds the primary with replicas is the one": Case(
        scene({A: primary(), B: primary(C), C: replica(B)}, [A, B, None], held=11),
        [Follow(SHARD, A, B), monitor(0, B, anew=True), monitor(2, B)],
        reasons.REPLICA_MISSING,
    ),
    "row 7: nothing is decided while nobody answers": Case(
        scene({A: AWAY, B: AWAY, C: AWAY}, [AWAY, AWAY, AWAY]), reason=reasons.UNKNOWN
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_the_table_decides(sentence: str) -> None:
    case = CASES[sentence]
    verdict = repair(case.scene)
    assert list(verdict.actions) == case.actions
    assert (verdict.findings[0].reason if verdict.findings else None) == case.reason


@pytest.mark.parametrize("sentence", CASES)
def test_whoever_waits_looks_again(sentence: str) -> None:
    verdict = repair(CASES[sentence].scene)
    waits = bool(verdict.facts) or (bool(verdict.findings) and verdict.findings[0].reason == reasons.UNKNOWN)
    assert not waits or verdict.look_again_seconds is not None
