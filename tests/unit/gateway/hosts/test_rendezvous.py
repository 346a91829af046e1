from collections import Counter

import pytest

from realtime_gateway.hosts import Shard, owner

KEYS = [f"room-{number}" for number in range(20_000)]


def shards(count: int) -> tuple[Shard, ...]:
    return tuple(Shard(f"chat-redis-{number}") for number in range(count))


def test_a_new_shard_takes_its_share_and_moves_nothing_else():
    before, after = shards(2), shards(3)
    moved = [key for key in KEYS if owner(key, before) != owner(key, after)]
    assert {owner(key, after).name for key in moved} == {"chat-redis-2"}
    assert len(moved) / len(KEYS) == pytest.approx(1 / 3, abs=0.01)


def test_removing_a_shard_moves_only_what_it_owned():
    before, after = shards(3), shards(3)[:2]
    for key in KEYS:
        was = owner(key, before)
        assert owner(key, after) == was or was.name == "chat-redis-2"


def test_a_shard_owns_in_proportion_to_its_weight():
    heavy = (Shard("a", 1), Shard("b", 3))
    counts = Counter(owner(key, heavy).name for key in KEYS)
    assert counts["b"] / len(KEYS) == pytest.approx(0.75, abs=0.01)


def test_the_order_of_the_list_and_the_addresses_decide_nothing():
    plain = shards(3)
    moved = tuple(Shard(shard.name, connection={"host": "10.0.0.1"}) for shard in reversed(plain))
    assert all(owner(key, plain).name == owner(key, moved).name for key in KEYS)


def test_every_process_and_version_agrees_on_these_owners():
    """Pinned: a change of the hash would move keys between versions that run side by side."""
    names = [owner(f"room-{number}", shards(4)).name[-1] for number in range(24)]
    assert "".join(names) == "033233321133020120001120"


def test_no_shard_is_an_error():
    with pytest.raises(ValueError, match="at least one shard"):
        owner("room", ())
