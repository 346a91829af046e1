"""A primary that is well is replaced by mistake: until everybody knows, there are two."""

from __future__ import annotations

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.failovers import in_turn, replaced
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.sentinel_shards import SentinelShards

# What is taken from a queue here, 50 a second, in the time that a failover may take from the promotion of a server to
# the word of it (FAILOVER_TIMEOUT_MS). It came to the replaced primary and to nobody else.
TWICE_WHILE_THERE_ARE_TWO = 150


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_primaries_that_live_are_replaced(counted: Counted) -> None:
    queues = queues_on_each("a", "b")
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), queues=queues) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        number = rounds(4)
        in_turn(shards, crew, number, replaced)
        for name in "ab":
            shards.wait_until_whole(name)
        crew.stays_well()
        counted(crew, f"{number} x a primary replaced that lives", told=number // 4, twice=TWICE_WHILE_THERE_ARE_TWO)
