"""Who owns how much, and what a roll moves."""

from __future__ import annotations

import pytest

from realtime_gateway.console.ring import ring
from realtime_gateway.hosts import Shard


def shards(number: int) -> list[Shard]:
    return [Shard(f"chat-redis-{index}") for index in range(number)]


def test_a_new_shard_takes_its_part_from_all_and_nothing_else_moves() -> None:
    found = ring(shards(2), shards(3))
    assert found["after"] == ["chat-redis-0", "chat-redis-1", "chat-redis-2"]
    assert {part["to"] for part in found["parts"] if part["from"] != part["to"]} == {"chat-redis-2"}
    assert found["moved"] == pytest.approx(1 / 3, abs=0.05)
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1)


def test_the_same_list_moves_nothing() -> None:
    assert ring(shards(3), shards(3))["moved"] == 0
