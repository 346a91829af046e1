"""A primary that stands still for longer than Sentinel waits, and then goes on as if nothing had happened."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.faults.sentinel_shards import SentinelShards

# The old primary believes in itself until a Sentinel tells it otherwise, which takes four of its 2 s periods; whoever
# is connected to it hears nothing of those who write to the new one until then.
RECOVERS_WITHIN_SECONDS = 60


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_a_primary_stands_still_and_comes_back(counted: Counted) -> None:
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b")) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        shard, needed = shards["a"], []
        for _ in range(rounds(1)):
            shards.wait_until_whole("a")
            stopped, at = shard.primary, time.monotonic()
            stopped.pause()
            try:
                shards.wait_for_failover("a", at)
            finally:
                stopped.resume()
            needed.append(shards.needed("a", at))
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
            shards.wait_until_whole("a")
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        down, switch = (max(column) for column in zip(*needed, strict=True))
        # A sender that is still connected to the old primary, which refuses it for want of replicas, may wait too long.
        counted(crew, f"{len(needed)} x SIGSTOP of a primary", sentinel=f"{down:.1f} + {switch:.1f} s")
