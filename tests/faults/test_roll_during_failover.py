"""Shards are rolled while one of them fails over: both are trouble enough alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.conftest import TWICE_PER_FAILOVER, Counted, rounds
from tests.faults.crew import Crew
from tests.faults.failovers import RECOVERS_WITHIN_SECONDS, in_turn
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.roller import Roller
from tests.faults.sentinel_shards import PATIENT, SentinelShards
from tests.support.conditions import wait_until
from tests.support.redis_process import RedisProcess


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
        lists = iter(("abc", "bc", "ab") * rounds(1))

        @contextmanager
        def killed_and_rolled(shards: SentinelShards, name: str) -> Iterator[None]:
            at = time.monotonic()
            server = shards[name].kill_primary()
            # Its Sentinels do not even suspect it yet.
            roller.roll(*next(lists))
            shards.wait_for_failover(name, at)
            wait_until(lambda: roller.followed_by(3), RECOVERS_WITHIN_SECONDS)
            yield
            server.start_as_replica_of(shards[name].primary)

        number = 3 * rounds(1)
        in_turn(shards, crew, number, killed_and_rolled, names="a")
        crew.stays_well()
        counted(
            crew,
            f"{number} x a roll during a failover",
            sentinel=shards.needed(),
            told=number // 4,
            twice=TWICE_PER_FAILOVER,
        )
