"""A Sentinel dies: nobody notices. Then a primary dies, and the two that are left are enough."""

from __future__ import annotations

import time

import pytest

from tests.faults.conftest import Counted
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.faults.sentinel_shards import PATIENT, SentinelShards

RECOVERS_WITHIN_SECONDS = 60


@pytest.mark.timeout(300)
def test_a_killed_sentinel_is_not_noticed_and_not_needed_for_a_failover(counted: Counted) -> None:
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        # The one that every process asks first.
        shards.sentinels[0].kill()
        crew.stays_well()
        shard, at = shards["b"], time.monotonic()
        shard.primary.kill()
        shards.wait_for_failover("b", at)
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, "a Sentinel killed, then a primary", sentinel=shards.needed())
