"""Each branch of the scripts for limits: buckets of tokens, and places, on every kind of server."""

from __future__ import annotations

import time
from typing import Any

import redis
from tests.support.lua_scripts import run


def tokens(client: redis.Redis, wanted: int, *, burst: int = 5, token_us: float = 60e6) -> Any:
    return run(client, "tokens", ["bucket"], token_us, burst, wanted)


def test_a_new_bucket_gives_its_burst_and_then_says_when_there_is_more(client: redis.Redis) -> None:
    assert tokens(client, 3) == [3, 0]
    granted, wait_us = tokens(client, 3)
    assert granted == 2
    assert 50e6 < wait_us <= 60e6
    granted, wait_us = tokens(client, 1)
    assert granted == 0
    assert 50e6 < wait_us <= 60e6


def test_a_bucket_fills_by_the_servers_clock_up_to_its_burst(client: redis.Redis) -> None:
    seconds, micros = client.time()
    client.set("bucket", f"{seconds * 1_000_000 + micros - 150_000_000}")
    assert tokens(client, 9)[0] == 2
    client.set("bucket", "1")
    assert tokens(client, 9)[0] == 5


def test_a_bucket_expires_when_it_is_full_again(client: redis.Redis) -> None:
    tokens(client, 2)
    assert 110_000 < client.pttl("bucket") <= 120_000
    tokens(client, 3)
    assert 290_000 < client.pttl("bucket") <= 300_000


def test_a_bucket_from_a_server_whose_clock_was_ahead_is_empty_and_no_more(client: redis.Redis) -> None:
    seconds, _ = client.time()
    client.set("bucket", f"{(seconds + 86_400) * 1_000_000}")
    granted, wait_us = tokens(client, 1)
    assert granted == 0
    assert wait_us <= 60e6


def test_a_bucket_of_very_many_small_tokens_counts_them(client: redis.Redis) -> None:
    assert tokens(client, 1_000_000, burst=40_000_000, token_us=0.25) == [1_000_000, 0]
    assert 39_000_000 <= tokens(client, 40_000_000, burst=40_000_000, token_us=0.25)[0] < 40_000_000


def hold(client: redis.Redis, process: str, count: int, most: int = 0, life_ms: int = 60_000) -> Any:
    return run(client, "places", ["places"], process, count, most, life_ms)


def test_places_are_those_of_all_processes_together(client: redis.Redis) -> None:
    assert [hold(client, "a", 1, 3), hold(client, "b", 1, 3), hold(client, "a", 2, 3)] == [1, 1, 1]
    assert [hold(client, "b", 2, 3), hold(client, "c", 1, 3)] == [0, 0]
    assert hold(client, "a", 1) == 1
    assert [hold(client, "c", 1, 3), hold(client, "c", 2, 3)] == [1, 0]


def test_a_refusal_leaves_what_a_process_holds_and_saying_it_again_is_never_refused(client: redis.Redis) -> None:
    hold(client, "a", 2, 3)
    assert hold(client, "a", 4, 3) == 0
    assert client.hget("places", "a").startswith(b"2 ")  # type: ignore[union-attr]
    assert hold(client, "a", 5) == 1
    assert hold(client, "b", 1, 3) == 0


def test_places_that_nobody_says_again_are_free_after_their_life(client: redis.Redis) -> None:
    now = int(time.time() * 1000)
    client.hset("places", "dead", f"3 {now - 1}")
    client.hset("places", "of a clock that was ahead", f"3 {now + 3_600_000}")
    assert hold(client, "a", 3, 3) == 1
    assert client.hkeys("places") == [b"a"]
    assert 0 < client.pttl("places") <= 60_000


def test_the_last_place_that_is_let_go_leaves_nothing_behind(client: redis.Redis) -> None:
    hold(client, "a", 1, 3)
    assert hold(client, "a", 0) == 1
    assert not client.exists("places")


def test_many_places_are_held_at_once_whatever_others_hold(client: redis.Redis) -> None:
    hold(client, "b", 3, 3)
    client.hset("gone", "a", "1 1")
    assert run(client, "keep", ["places", "gone", "more"], "a", 60_000, 2, 0, 5) == 3
    now = int(time.time() * 1000)
    for key, count in (("places", "2"), ("more", "5")):
        found, until_ms = client.hget(key, "a").decode().split()  # type: ignore[union-attr]
        assert found == count
        assert now < int(until_ms) <= now + 60_000
        assert 0 < client.pttl(key) <= 60_000
    assert client.hget("places", "b").startswith(b"3 ")  # type: ignore[union-attr]
    assert not client.exists("gone")
