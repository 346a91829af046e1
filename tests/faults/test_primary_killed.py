"""`kill -9` of primaries under load: Sentinel makes a replica the primary, and nobody notices but by a pause."""

from __future__ import annotations

import time
from itertools import cycle, islice

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.faults.sentinel_shards import SentinelShards

# A kill costs some three seconds, of which the layer itself takes less than one.
RECOVERS_WITHIN_SECONDS = 30


@pytest.mark.timeout(900)
def test_no_message_is_lost_when_primaries_are_killed_one_after_the_other(counted: Counted) -> None:
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b")) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        faults = []
        for name in islice(cycle("ab"), rounds(4)):
            shard = shards[name]
            shards.wait_until_whole(name)
            killed, at = shard.primary, time.monotonic()
            killed.kill()
            shards.wait_for_failover(name, at)
            faults.append((name, at))
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
            killed.start_as_replica_of(shard.primary)
        crew.stays_well()
        # Senders wait longer than a failover takes: none of them gets an error.
        counted(crew, f"{len(faults)} x kill -9 of a primary", sentinel=shards.needed(*faults))
