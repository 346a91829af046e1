from __future__ import annotations

from dataclasses import replace

from realtime_gateway.cli.hosts_view import View, as_json, differences, lines, moving
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.host_survey import Survey
from realtime_gateway.layer.shards.host_board import Board, Process

A, B, C = (Shard(name, 1.0, {"address": f"redis://:secret@{name}:6379/0"}) for name in "abc")
OLD = HostList(6, (A, B))
NEW = HostList(7, (A, C), (OLD,), managed_by="RealtimeGateway default/chat")
SAID = Process("1f", "chat-1", 7, 12, 30, "0.1.0")


def seen(hosts: dict[str, HostList | None], troubles: dict[str, str] | None = None, *processes: Process) -> Survey:
    boards = {name: Board(held.epoch if held else 0, "", processes) for name, held in hosts.items()}
    return Survey(boards, hosts, troubles or {})


def test_everything_in_step_is_in_order() -> None:
    view = View(
        replace(NEW, earlier=()), seen({"a": replace(NEW, earlier=()), "c": replace(NEW, earlier=())}, {}, SAID)
    )
    assert view.problems == ()
    text = "\n".join(lines(view))
    assert "host list epoch 7, made by RealtimeGateway default/chat" in text
    assert "chat-1   7      30           12   0.1.0" in text


def test_every_trouble_is_a_sentence_and_no_password_is_shown() -> None:
    other = HostList(7, (B,))
    view = View(NEW, seen({"a": other, "b": OLD}, {"c": "no route"}, SAID, replace(SAID, id="2f", name="old", epoch=6)))
    assert view.problems == (
        "shard a holds another list of epoch 7",
        "shard c cannot be read: no route",
        "shard b is at epoch 6",
        "not at epoch 7 yet: old",
        "earlier lists are not retired: 6",
    )
    text = "\n".join(lines(view))
    assert "secret" not in text + str(as_json(view))
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("b ")] == ["leaving"]


def test_as_json_it_has_the_same_facts() -> None:
    signed = replace(NEW, signature="…")
    said = as_json(View(NEW, seen({"a": signed, "b": None}, {"c": "no route"}, SAID)))
    assert [(shard["name"], shard["epoch"], shard["signed"], shard["leaving"]) for shard in said["shards"]] == [
        ("a", 7, True, False), ("c", None, False, False), ("b", 0, False, True),
    ]  # fmt: skip
    assert (said["epoch"], said["earlier"], said["in_order"]) == (7, [6], False)
    assert said["processes"] == [
        {"id": "1f", "name": "chat-1", "pid": 12, "epoch": 7, "connections": 30, "version": "0.1.0"}
    ]


def test_a_difference_is_what_comes_goes_and_changes() -> None:
    moved = replace(B, weight=2.0, connection={"address": "redis://:secret@elsewhere:6379"})
    assert differences((A, B), (moved, C)) == [
        "- a  redis://a:6379/0",
        "~ b  redis://b:6379/0 → redis://elsewhere:6379",
        "~ b  weight 1 → 2",
        "+ c  redis://c:6379/0",
    ]
    quiet = replace(A, connection={**A.connection, "ssl_cert_reqs": "none"})
    assert differences((A,), (quiet,)) == ["~ a  other options"]
    assert differences((A, B), (B, A)) == []


def test_a_third_of_the_keys_moves_to_a_third_shard_and_none_by_another_address() -> None:
    assert 32.5 < float(moving((A, B), (A, B, C)).split("%")[0]) < 34
    assert moving((A, B), (A, replace(B, connection={}))).startswith("0.0%")
