from __future__ import annotations

import fnmatch
import subprocess
import sys

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


PROCESS = "0123456789abcdef0123456789abcdef"


def books(made: names.Names) -> list[str]:
    return [made.epoch, made.hosts, made.data_set, made.processes, made.process(PROCESS)]


def flushed(made: names.Names) -> list[str]:
    keys = [made.key(key) for key in ("g:x", f"g:{PROCESS}", f"i:{PROCESS}", "q:x", "q:hosts", "g:epoch")]
    keys += [made.groups, made.members("g:x"), made.members("g:hosts"), made.full(""), made.full(f"a.{PROCESS}!x")]
    return [*keys, made.mark("q:x", 7, "!"), made.mark("q:x", 2**63 - 1, "room"), made.taken("q:x", PROCESS)]


def test_a_flush_takes_messages_and_members_and_no_book_keeping() -> None:
    made = names.Names("chat")
    assert not any(map(made.is_flushed, books(made)))
    assert all(map(made.is_flushed, flushed(made)))


@pytest.mark.parametrize(
    "end", ["staging", "t", "s", "i", "full", "process", "hosts", "groups", "t:x", "g:x", "s:x", "0"]
)
def test_a_flush_takes_nothing_of_a_longer_prefix(end: str) -> None:
    longer = names.Names(f"chat:{end}")
    assert not names.ambiguous_end(longer.prefix)
    assert [key for key in [*books(longer), *flushed(longer)] if names.Names("chat").is_flushed(key)] == []


def test_the_names_need_neither_django_nor_channels() -> None:
    program = (
        "import sys, realtime_gateway.layer.names; print(*sorted({'django', 'channels', 'redis'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_hidden_name_is_the_same_in_every_process_with_the_key_and_says_nothing() -> None:
    one, other, stranger = (names.GroupNames(key) for key in (b"a secret", b"a secret", b"another"))
    hidden = one.outside("patients.smith")
    assert hidden == other.outside("patients.smith")
    assert hidden not in (stranger.outside("patients.smith"), one.outside("patients.jones"))
    assert len(hidden) == 32
    assert "smith" not in hidden


def test_who_knows_a_name_is_told_it_and_who_does_not_is_told_the_digest() -> None:
    one, other = names.GroupNames(b"a secret"), names.GroupNames(b"a secret")
    hidden = one.outside("room")
    assert one.inside(names.group(hidden)) == "room"
    assert other.inside(names.group(hidden)) == hidden
    assert one.inside(names.queue("work")) == "work"


def test_without_a_key_names_stay_as_they_are() -> None:
    plain = names.GroupNames(None)
    assert plain.outside("room") == plain.inside("g:room") == "room"


def test_what_is_remembered_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names.GroupNames, "_REMEMBERED", 2)
    hiding = names.GroupNames(b"a secret")
    hidden = [names.group(hiding.outside(name)) for name in ("a", "b", "c")]
    assert [hiding.inside(one) for one in hidden] == [hidden[0][2:], "b", "c"]
    assert names.group(hiding.outside("a")) == hidden[0]
