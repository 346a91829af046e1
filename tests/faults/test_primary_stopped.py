"""A primary that stands still for longer than Sentinel waits, and then goes on as if nothing had happened."""

from __future__ import annotations

import pytest

from tests.faults.conftest import TWICE_PER_FAILOVER, Counted, rounds
from tests.faults.crew import Crew
from tests.faults.failovers import in_turn, stopped
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.sentinel_shards import PATIENT, SentinelShards


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_a_primary_stands_still_and_comes_back(counted: Counted) -> None:
    queues = queues_on_each("a", "b")
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), queues=queues, **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        number = rounds(6)
        # An old primary believes in itself until a Sentinel tells it otherwise, which takes four of its 2 s periods.
        # Processes leave it before, since Sentinels tell them as well.
        in_turn(shards, crew, number, stopped)
        for name in "ab":
            # Until the old primary has become a replica again: it takes nobody in meanwhile.
            shards.wait_until_whole(name)
        crew.stays_well()
        # No sender has waited for too long: none of them gets an error.
        counted(
            crew,
            f"{number} x SIGSTOP of a primary",
            sentinel=shards.needed(),
            told=number // 4,
            twice=TWICE_PER_FAILOVER,
        )
