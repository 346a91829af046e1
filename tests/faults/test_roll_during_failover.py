"""Shards are rolled while one of them fails over: both are trouble enough alone."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.conftest import TWICE_PER_FAILOVER, Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.roller import Roller
from tests.faults.sentinel_shards import PATIENT, SentinelShards
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess

RECOVERS_WITHIN_SECONDS = 60


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_shards_are_rolled_during_a_failover(counted: Counted) -> None:
    with ExitStack() as stack:
        shards = stack.enter_context(SentinelShards("a", "b"))
        plain = stack.enter_context(RedisProcess())
        entries = {host.pop("name"): host for host in shards.hosts()} | {"c": {"address": plain.url}}
        roller = Roller(entries, "ab", lambda n: plain.client if n == "c" else shards[n].primary.client)
        # The queues are in no groups: where a group's former owner is out of reach, nobody knows of its queues.
        queues = queues_on_each("a", "b", "c")
        crew = stack.enter_context(
            Crew(groups_on_each("a", "b", "c"), queues=queues, queues_in_groups=False, **PATIENT)
        )
        crew.add_usual([{"name": name, **entries[name]} for name in "ab"])
        crew.begin()
        number, faults = rounds(1), []
        for _ in range(number):
            for names in ("abc", "bc", "ab"):
                shards.wait_until_whole("a")
                killed, at = shards["a"].primary, time.monotonic()
                killed.kill()
                # Its Sentinels do not even suspect it yet.
                roller.roll(*names)
                shards.wait_for_failover("a", at)
                faults.append(("a", at))
                wait_until(lambda: roller.followed_by(3), RECOVERS_WITHIN_SECONDS)
                crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
                killed.start_as_replica_of(shards["a"].primary)
        crew.stays_well()
        counted(
            crew,
            f"{3 * number} x a roll during a failover",
            sentinel=shards.needed(*faults),
            told=len(faults) // 4,
            twice=TWICE_PER_FAILOVER * len(faults),
        )
