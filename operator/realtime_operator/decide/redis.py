"""Redis as a whole: the repair table for each shard, and Sentinels that should forget one."""

from __future__ import annotations

from realtime_operator.decide.bootstrap import repair
from realtime_operator.decide.scene import Scene
from realtime_operator.decide.wanted import live_shards
from realtime_operator.objects import identity
from realtime_operator.plan import Forget, Verdict, merge
from realtime_operator.snapshot import Snapshot, Unknown
from realtime_operator.target import Target


def shards(target: Target, snapshot: Snapshot) -> Verdict:
    """Every shard has one primary that everyone agrees on."""
    wanted = set(live_shards(target, snapshot))
    scenes = (Scene(shard, snapshot.sentinels, snapshot.held) for shard in snapshot.shards if shard.index in wanted)
    return merge(tuple(repair(scene) for scene in scenes))


def forgotten(target: Target, snapshot: Snapshot) -> Verdict:
    """Sentinels stop monitoring shards that are gone, or they would report them down for ever."""
    wanted = {identity.master_name(target, shard) for shard in live_shards(target, snapshot)}
    return Verdict(
        tuple(
            Forget(sentinel.address, name)
            for sentinel in snapshot.sentinels
            if sentinel.address is not None and not isinstance(sentinel.answers, Unknown)
            for name in sorted(set(sentinel.answers) - wanted)
        )
    )
