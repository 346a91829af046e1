"""Primaries that fail one after the other, and the ways in which they do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import cycle, islice

from tests.faults.crew import Crew
from tests.faults.sentinel_shards import SentinelShards

# A kill costs some four seconds, of which the layer itself takes less than one; on a busy machine it may be many more.
RECOVERS_WITHIN_SECONDS = 60

# Lets the primary of a shard fail and waits for another one; within it everybody has to hear everybody.
Fault = Callable[[SentinelShards, str], AbstractContextManager[None]]


def in_turn(shards: SentinelShards, crew: Crew, number: int, fault: Fault, names: Iterable[str] = ()) -> None:
    """Let the primary of one shard after the other fail, each time when the fault before is over.

    Args:
        shards: all of them.
        crew: who works there.
        number: of faults.
        fault: how a primary fails.
        names: of the shards whose primaries fail; of all by default.
    """
    for name in islice(cycle(names or shards.shards), number):
        shards.wait_until_whole(name)
        with fault(shards, name):
            crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.note_what_was_taken_twice()


@contextmanager
def killed(shards: SentinelShards, name: str) -> Iterator[None]:
    """`kill -9`; once all is well, the server comes back as a replica."""
    at = time.monotonic()
    server = shards[name].kill_primary()
    shards.wait_for_failover(name, at)
    yield
    server.start_as_replica_of(shards[name].primary)


@contextmanager
def stopped(shards: SentinelShards, name: str) -> Iterator[None]:
    """SIGSTOP; the server goes on when another one is the primary, and believes to be it itself."""
    server, at = shards[name].primary, time.monotonic()
    server.pause()
    try:
        shards.wait_for_failover(name, at)
    finally:
        server.resume()
    yield


@contextmanager
def replaced(shards: SentinelShards, name: str) -> Iterator[None]:
    """A Sentinel takes the primary for dead by mistake: for a while there are two, each with clients of its own."""
    at = time.monotonic()
    shards.begin_failover(name)
    shards.wait_for_failover(name, at)
    yield


@contextmanager
def restarted_empty(shards: SentinelShards, name: str) -> Iterator[None]:
    """`kill -9`, and it is back before a Sentinel suspects it: its replicas follow it, and drop what they had."""
    shards[name].primary.restart()
    yield
