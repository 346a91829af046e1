"""CLIENT KILL of every connection once a second: each is made again, and what was missed is read."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.conftest import Counted, rounds
from tests.faults.crew import Crew
from tests.faults.groups import groups_on_each, queues_on_each
from tests.support.redis_process import RedisProcess

RECOVERS_WITHIN_SECONDS = 10
PERIOD_SECONDS = 1.0


@contextmanager
def killed_every_second(servers: Collection[RedisProcess], times: list[float]) -> Iterator[Future[None]]:
    """Kill every connection each time that a second is over, whatever the test does meanwhile; note when.

    What is returned is done where that has failed; then the error is raised at the end.
    """
    ended, begun = threading.Event(), time.monotonic()

    def kill() -> None:
        while not ended.wait(max(begun + len(times) * PERIOD_SECONDS - time.monotonic(), 0)):
            for server in servers:
                server.kill_connections("normal", "pubsub")
            times.append(time.monotonic())

    with ThreadPoolExecutor(max_workers=1) as pool:
        killing = pool.submit(kill)
        try:
            yield killing
        finally:
            ended.set()
        killing.result()


@pytest.mark.timeout(300)
def test_no_message_is_lost_while_every_connection_is_killed_once_a_second(counted: Counted) -> None:
    with ExitStack() as stack:
        servers = {name: stack.enter_context(RedisProcess()) for name in "ab"}
        crew = stack.enter_context(Crew(groups_on_each("a", "b"), queues=queues_on_each("a", "b"), per_second=50))
        crew.add_usual([{"name": name, "address": server.url} for name, server in servers.items()])
        crew.begin()
        number, times = rounds(15), list[float]()
        with killed_every_second(servers.values(), times) as killing:
            while len(times) < number and not killing.done():
                # What was missed is read although the next cut is never farther than a second away.
                crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(crew, f"{len(times)} x CLIENT KILL of all connections, once a second")


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
