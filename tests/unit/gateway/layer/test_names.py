from __future__ import annotations

import fnmatch

import pytest

from realtime_gateway.layer import names


@pytest.mark.parametrize(
    ("channel", "process"),
    [
        ("specific.abc!xyz", "abc"),
        ("a.b.c.abc!xyz", "abc"),
        ("abc!xyz", "abc"),
        ("specific.abc!", "abc"),
        ("specific.abc!x.y!z", "abc"),
        ("work", None),
        ("work.with.dots", None),
    ],
)
def test_the_process_of_a_channel_stands_before_the_mark(channel: str, process: str | None) -> None:
    assert names.process_of(channel) == process


def test_a_destinations_name_decides_its_owner_and_carries_no_prefix() -> None:
    assert [names.name_of(one) for one in (names.group("a"), names.inbox("b"), names.queue("c"))] == ["a", "b", "c"]


def test_all_keys_carry_the_prefix_and_none_means_two_things() -> None:
    made = names.Names("chat")
    destinations = [names.group("x"), names.inbox("x"), names.queue("x")]
    keys = [
        made.epoch, made.hosts, made.data_set, made.processes, made.process("x"), made.full("x"),
        made.members(names.group("x")), made.mark(names.queue("x"), 7, "-"), *map(made.key, destinations),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("chat:") for key in keys)


def test_pub_sub_names_tell_shards_apart() -> None:
    made = names.Names("chat")
    assert made.topic("0", "g:room") != made.topic("0@3", "g:room")
    assert made.topic("0", names.CONTROL).startswith("chat:0:")


@pytest.mark.parametrize("prefix", ["chat", "a*b", "[x]", "q?", "back\\slash"])
def test_the_pattern_for_every_key_takes_the_prefix_literally(prefix: str) -> None:
    pattern = names.Names(prefix).every_key_pattern()
    literal = pattern.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")
    assert literal == f"{prefix}:*"
    if "\\" not in pattern:
        assert fnmatch.fnmatchcase(f"{prefix}:g:room", pattern)


def test_only_book_keeping_survives_a_flush() -> None:
    made = names.Names("chat")
    kept = [made.epoch, made.hosts, made.data_set, made.processes, made.process("x")]
    assert all(made.survives_flush(key) for key in kept)
    assert not any(made.survives_flush(key) for key in (made.key("g:x"), made.members("g:x"), made.full("x")))
