"""A primary that stands still for longer than Sentinel waits, and then goes on as if nothing had happened."""

from __future__ import annotations

import time
from itertools import cycle, islice

import pytest

from tests.faults.conftest import TWICE_PER_FAILOVER, Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.sentinel_shards import PATIENT, SentinelShards

# The old primary believes in itself until a Sentinel tells it otherwise, which takes four of its 2 s periods. Processes
# leave it before, since Sentinels tell them as well.
RECOVERS_WITHIN_SECONDS = 60


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_a_primary_stands_still_and_comes_back(counted: Counted) -> None:
    queues = queues_on_each("a", "b")
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), queues=queues, **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        faults = []
        for name in islice(cycle("ab"), rounds(6)):
            shards.wait_until_whole(name)
            stopped, at = shards[name].primary, time.monotonic()
            stopped.pause()
            try:
                shards.wait_for_failover(name, at)
            finally:
                stopped.resume()
            faults.append((name, at))
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        for name in "ab":
            # Until the old primary has become a replica again: it takes nobody in meanwhile.
            shards.wait_until_whole(name)
        crew.stays_well()
        # No sender has waited for too long: none of them gets an error.
        counted(
            crew,
            f"{len(faults)} x SIGSTOP of a primary",
            sentinel=shards.needed(*faults),
            told=len(faults) // 4,
            twice=TWICE_PER_FAILOVER * len(faults),
        )
