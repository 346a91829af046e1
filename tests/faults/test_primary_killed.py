"""`kill -9` of primaries under load: Sentinel makes a replica the primary, and nobody notices but by a pause."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.conftest import TWICE_PER_FAILOVER, Counted, rounds
from tests.faults.crew import Crew
from tests.faults.failovers import RECOVERS_WITHIN_SECONDS, in_turn, killed, restarted_empty
from tests.faults.groups import groups_on_each, queues_on_each
from tests.faults.sentinel_shards import PATIENT, TRUSTING, SentinelShards
from tests.support.authority import Authority


@pytest.mark.timeout(900)
def test_no_message_is_lost_when_primaries_are_killed_one_after_the_other(counted: Counted) -> None:
    queues = queues_on_each("a", "b")
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), queues=queues, **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        number = rounds(20)
        in_turn(shards, crew, number, killed)
        crew.stays_well()
        counted(
            crew,
            f"{number} x kill -9 of a primary",
            sentinel=shards.needed(),
            told=number // 4,
            twice=TWICE_PER_FAILOVER,
        )


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_where_senders_wait_no_longer_than_by_default(counted: Counted) -> None:
    """A failover within ``send_timeout`` costs no error.

    The queues are in no groups: what they do not get of a group's message in that time is dropped, and counted.
    """
    groups, queues = groups_on_each("a", "b"), queues_on_each("a", "b")
    with SentinelShards("a", "b") as shards, Crew(groups, queues=queues, queues_in_groups=False) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        number = rounds(4)
        in_turn(shards, crew, number, killed)
        for name in "ab":
            # A server that is back may be made a primary once more before Sentinels agree: that is no calm yet.
            shards.wait_until_whole(name)
        # Sends leave in order, so what has waited since the last failover has ended, well or in an error.
        crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
        crew.stays_well()
        counted(
            crew,
            f"{number} x kill -9 of a primary, senders wait as by default",
            sentinel=shards.needed(),
            told=number // 4,
            twice=TWICE_PER_FAILOVER,
        )


@pytest.mark.timeout(600)
def test_no_message_is_lost_when_primaries_that_speak_tls_only_are_killed(counted: Counted, tmp_path: Path) -> None:
    tls = Authority().issue(tmp_path / "tls", "redis.test")
    # The name is no host's: servers are dialled by the addresses that Sentinels give.
    environment = {"REALTIME_GATEWAY_REDIS_TLS_DIRECTORY": str(tls), "REALTIME_GATEWAY_REDIS_TLS_NAME": "redis.test"}
    with SentinelShards("a", "b", tls=tls) as shards, Crew(groups_on_each("a", "b"), **PATIENT) as crew:
        crew.add_usual(shards.hosts(), environment)
        crew.begin()
        number = rounds(4)
        in_turn(shards, crew, number, killed)
        crew.stays_well()
        counted(crew, f"{number} x kill -9 of a primary, all by TLS", sentinel=shards.needed())


@pytest.mark.timeout(300)
def test_what_only_a_killed_primary_had_is_sent_again_to_a_process_that_was_away(counted: Counted) -> None:
    with SentinelShards("a", "b", options=TRUSTING) as shards, Crew(groups_on_each("a", "b"), **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        away = crew.add("receiver, away", shards.hosts())
        crew.begin()

        @contextmanager
        def ahead(shards: SentinelShards, name: str) -> Iterator[None]:
            away.pause()
            shards[name].stop_replicating()
            shards[name].primary.kill_connections("pubsub")
            # What is acknowledged now, neither a replica has nor the process that stands still, nor its sockets.
            for _ in range(3):
                crew.wait_until_everyone_hears_everyone(RECOVERS_WITHIN_SECONDS)
            with killed(shards, name):
                away.resume()
                yield

        number = rounds(2)
        in_turn(shards, crew, number, ahead)
        crew.stays_well()
        counted(crew, f"{number} x kill -9 of a primary ahead of its replicas", sentinel=shards.needed())


@pytest.mark.timeout(300)
def test_no_message_is_lost_when_a_primary_is_back_empty_before_any_sentinel_suspects_it(counted: Counted) -> None:
    with SentinelShards("a", "b") as shards, Crew(groups_on_each("a", "b"), **PATIENT) as crew:
        crew.add_usual(shards.hosts())
        crew.begin()
        number = rounds(2)
        in_turn(shards, crew, number, restarted_empty)
        crew.stays_well()
        counted(crew, f"{number} x a primary that comes back empty")
