"""CLIENT KILL of every connection once a second: each is made again, and what was missed is read."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each
from tests.support.redis_process import RedisProcess

RECOVERS_WITHIN_SECONDS = 10
PERIOD_SECONDS = 1.0


@pytest.mark.timeout(300)
def test_no_message_is_lost_while_every_connection_is_killed_once_a_second(counted: Counted) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RedisProcess()) for name in "ab"}
        crew = stack.enter_context(Crew(groups_on_each("a", "b"), per_second=50))
        crew.add_usual([{"name": name, "address": server.url} for name, server in servers.items()])
        crew.begin()
        number = rounds(8)
        for turn in range(number):
            at = time.monotonic()
            for server in servers.values():
                server.kill_connections("normal", "pubsub")
            if turn % 2:
                # Every other time all have come back before the next; in between they are cut while they do.
                crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
            time.sleep(max(at + PERIOD_SECONDS - time.monotonic(), 0))
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{number} x CLIENT KILL of all connections")


@pytest.mark.timeout(300)
def test_no_message_is_lost_while_the_connections_of_one_kind_are_killed(counted: Counted) -> None:
    with RedisProcess() as server, Crew(groups_on_each("a", number=4), per_second=50) as crew:
        crew.add_usual([{"name": "a", "address": server.url}])
        crew.begin()
        number = rounds(6)
        for turn in range(number):
            server.kill_connections(("normal", "pubsub")[turn % 2])
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{number} x CLIENT KILL of one kind")
