"""Each branch of the scripts for messages, members and epochs, also of the simulation's server."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
import redis
from tests.support.lua_scripts import run

from realtime_gateway.layer.envelope import Entry, Kind, pack
from realtime_gateway.layer.shards.scripts import NAMES, load

HEAD = [0, 60_000, 1000, 70, 60_000, 86_400_000]
TOPIC = "topic"


def publish(client: redis.Redis, *messages: tuple[str, str, str, str, int, int], epoch: int = 0, word: str = "") -> Any:
    """Each message: kind, first key, second key, bytes, capacity, sequence."""
    keys, arguments = ["epoch", "hosts"], [epoch, *HEAD[1:]]
    for kind, first, second, body, capacity, sequence in messages:
        keys += [first, second]
        arguments += [kind, body, TOPIC, capacity, sequence]
    return run(client, "publish", [*keys, "dataset"], *arguments, word)


def pop(client: redis.Redis, number: int = 1, *arrived: int, waiting_since: int | None = None, take: int = 1) -> Any:
    """Take from the queue; messages of the calls ``arrived`` have, and those before ``waiting_since`` never will."""
    lowest = number if waiting_since is None else waiting_since
    return run(client, "pop", ["queue", "taken"], 60_000, number, take, lowest, 0, *arrived)


def group(body: str, stream: str = "stream", members: str = "members") -> tuple[str, str, str, str, int, int]:
    return ("g", stream, members, body, 0, 1)


def queued(body: str, sequence: int, capacity: int = 10) -> tuple[str, str, str, str, int, int]:
    return ("q", "queue", "mark", body, capacity, sequence)


def test_every_script_is_documented() -> None:
    for name in NAMES:
        head = load()[name].text.split("\n\n")[0].lower()
        assert head.startswith("--")
        assert "keys" in head
        assert "returns" in head


def test_publish_stores_and_pushes_the_same_bytes_with_the_stream_id_and_the_entry_before(client: redis.Redis) -> None:
    with client.pubsub() as subscription:
        subscription.subscribe(TOPIC)
        subscription.get_message(timeout=5)
        status, stream_id = publish(client, group("body"))
        pushed = subscription.get_message(timeout=5)
    assert status == b"OK"
    assert client.xrange("stream") == [(stream_id, {b"e": b"body", b"l": b"0-0/0"})]
    assert pushed is not None
    assert pushed["data"] == stream_id + b" 0-0/0 body"
    assert 0 < client.ttl("stream") <= 70


def test_publish_links_each_entry_to_the_one_before_it_within_a_batch_and_after_it(client: redis.Redis) -> None:
    written = pack(Entry(Kind.GROUP, 70_000, 1, 1, 0, 0, "", b"", b"x")).decode("latin-1")
    client.set("epoch", 70_000)
    first, other, second = publish(client, group(written), group("b", "other"), group(written), epoch=70_000)[1:]
    (third,) = publish(client, group(written), epoch=70_000)[1:]
    links = [fields[b"l"] for _, fields in client.xrange("stream")]
    assert links == [b"0-0/0", first + b"/70000", second + b"/70000"]
    assert [fields[b"l"] for _, fields in client.xrange("other")] == [b"0-0/0"]
    assert third != other


def test_publish_refuses_a_writer_that_is_older_with_the_document(client: redis.Redis) -> None:
    client.mset({"epoch": 5, "hosts": "document"})
    assert publish(client, group("body"), epoch=4) == [b"NEW", 5, b"document"]
    assert not client.exists("stream")


def test_publish_refuses_a_writer_that_is_newer(client: redis.Redis) -> None:
    client.set("epoch", 5)
    assert publish(client, group("body"), epoch=6) == [b"OLD", 5]
    assert not client.exists("stream")


def test_publish_keeps_the_order_of_a_batch_over_several_streams(client: redis.Redis) -> None:
    answer = publish(client, group("1", "a"), group("2", "b"), group("3", "a"))
    assert len(answer) == 4
    assert [fields[b"e"] for _, fields in client.xrange("a")] == [b"1", b"3"]


def test_publish_trims_by_time(client: redis.Redis) -> None:
    old = int(time.time() * 1000) - 3_600_000
    for number in range(300):
        client.xadd("stream", {"e": "old"}, id=f"{old}-{number}")
    publish(client, group("new"))
    assert client.xlen("stream") <= 100


def test_publish_returns_the_normal_channels_of_a_group_that_have_not_expired(client: redis.Redis) -> None:
    now = int(time.time() * 1000)
    client.zadd("members", {"work": now, "gone": now - 90_000_000})
    _, answer = publish(client, group("body"))
    assert answer[1:] == [b"work"]


def test_publish_reports_a_foreign_key_and_goes_on_with_the_rest(client: redis.Redis) -> None:
    client.set("foreign", "text")
    answer = publish(client, group("1", "foreign"), group("2"))
    assert isinstance(answer[1], redis.ResponseError)
    assert "WRONGTYPE" in str(answer[1]) or "wrong kind" in str(answer[1])
    assert client.xlen("stream") == 1


def test_publish_stores_nothing_for_a_group_whose_members_are_no_set_and_goes_on_with_the_rest(
    client: redis.Redis,
) -> None:
    client.set("foreign", "text")
    client.zadd("members", {"work": int(time.time() * 1000)})
    answer = publish(client, group("1"), group("2", "other", "foreign"), group("3"))
    assert isinstance(answer[2], redis.ResponseError)
    assert "WRONGTYPE" in str(answer[2]) or "wrong kind" in str(answer[2])
    assert not client.exists("other")
    assert [fields[b"e"] for _, fields in client.xrange("stream")] == [b"1", b"3"]
    assert answer[1][1:] == answer[3][1:] == [b"work"]


def test_publish_refuses_a_queue_whose_mark_is_foreign_and_goes_on_with_the_rest(client: redis.Redis) -> None:
    client.rpush("mark", "text")
    answer = publish(client, group("1"), queued("2", 2), group("3"))
    assert isinstance(answer[2], redis.ResponseError)
    assert (client.xlen("stream"), client.llen("queue")) == (2, 0)


def test_publish_stores_nothing_more_after_an_error_of_the_server(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        answer = publish(client, group("1"), group("2"))
    except redis.ResponseError as error:
        assert "OOM" in str(error) or "memory" in str(error)  # noqa: PT017 - either form is right
    else:
        assert all(isinstance(one, redis.ResponseError) for one in answer[1:])
    finally:
        client.config_set("maxmemory", 0)
    assert not client.exists("stream")


def test_publish_to_an_inbox_is_refused_while_the_mailbox_is_full(client: redis.Redis) -> None:
    message = ("i", "inbox", "full", "body", 0, 1)
    assert publish(client, message)[0] == b"OK"
    assert run(client, "full", ["full"], 1000) == b"OK"
    assert publish(client, message) == [b"OK", b"FULL"]
    assert client.xlen("inbox") == 1
    assert run(client, "full", ["full"], 0) == 1
    assert publish(client, message)[1] != b"FULL"


def test_a_queue_takes_its_capacity_and_no_more(client: redis.Redis) -> None:
    assert publish(client, *(queued(str(number), number, 2) for number in range(3))) == [b"OK", 1, 1, b"FULL"]
    assert client.llen("queue") == 2


def test_a_queue_takes_a_message_once_however_often_it_is_sent(client: redis.Redis) -> None:
    assert publish(client, queued("a", 1), queued("b", 2), queued("a", 1), queued("b", 2)) == [b"OK", 1, 1, 0, 0]
    assert client.llen("queue") == 2


def test_what_has_expired_takes_no_room_in_a_queue_and_is_not_popped(client: redis.Redis) -> None:
    now = int(time.time() * 1000)
    client.rpush("queue", f"{now - 61_000} old", f"{now - 60_500} old too")
    assert publish(client, queued("new", 1, 1)) == [b"OK", 1]
    client.lpush("queue", f"{now - 61_000} old")
    queued_ms, body, age_ms, expired = pop(client)
    assert (body, expired) == (b"new", 1)
    assert int(queued_ms) >= now
    assert int(age_ms) >= 0
    client.rpush("queue", f"{now - 61_000} old", f"{now - 60_500} old too")
    assert pop(client) == [2]
    assert pop(client) == []


def test_what_was_taken_for_a_call_whose_answer_never_arrived_answers_a_later_one(client: redis.Redis) -> None:
    publish(client, queued("first", 1), queued("second", 2), queued("third", 3))
    assert [pop(client, number, waiting_since=1)[1] for number in (1, 2)] == [b"first", b"second"]
    # The answer to 2 has arrived, that to 1 never will.
    assert pop(client, 3, 2)[1] == b"first"
    assert pop(client, 4, waiting_since=4, take=0)[1] == b"first"
    assert pop(client, 5, 4, take=0) == []
    assert pop(client, 6, waiting_since=6)[1] == b"third"
    assert client.hkeys("taken") == [b"6"]
    assert 0 < client.pttl("taken") <= 60_000


def test_a_message_that_is_on_its_way_hides_no_later_one_of_which_nobody_heard(client: redis.Redis) -> None:
    publish(client, queued("first", 1), queued("second", 2), queued("third", 3))
    for number in (1, 2):
        pop(client, number, waiting_since=1)
    # The answer to 1 has come and its message goes back, that to 2 never came.
    assert run(client, "pop", ["queue", "taken"], 60_000, 3, 1, 3, 1, 1)[1] == b"second"


def test_what_is_put_back_is_popped_next(client: redis.Redis) -> None:
    publish(client, queued("first", 1), queued("second", 2))
    queued_ms, body, _ = pop(client)
    assert run(client, "put_back", ["queue", "taken"], 60_000, TOPIC, 1) == 1
    assert not client.exists("taken")
    assert pop(client)[:2] == [queued_ms, body] == [queued_ms, b"first"]
    assert client.pttl("queue") > 60_000


def test_what_is_put_back_again_or_has_arrived_is_not_there_twice(client: redis.Redis) -> None:
    publish(client, queued("first", 1), queued("second", 2))
    pop(client, 1)
    for moved in (1, 0):
        assert run(client, "put_back", ["queue", "taken"], 60_000, TOPIC, 1) == moved
    assert client.llen("queue") == 2
    pop(client, 2)
    pop(client, 3, 2)
    assert run(client, "put_back", ["queue", "taken"], 60_000, TOPIC, 3, 2) == 1
    assert pop(client, 4)[1] == b"second"


def test_what_is_put_back_together_is_in_the_order_in_which_it_was_taken(client: redis.Redis) -> None:
    publish(client, *(queued(str(number), number) for number in range(4)))
    for number in (1, 2, 3):
        pop(client, number, waiting_since=1)
    with client.pubsub() as subscription:
        subscription.subscribe(TOPIC)
        subscription.get_message(timeout=5)
        assert run(client, "put_back", ["queue", "taken"], 60_000, TOPIC, 3, 2, 1) == 3
        pushed = subscription.get_message(timeout=5)
    assert pushed is not None
    assert pushed["data"] == b""
    assert [body.partition(b" ")[2] for body in client.lrange("queue", 0, -1)] == [b"0", b"1", b"2", b"3"]


def test_fence_only_ever_goes_up_and_announces_it(client: redis.Redis) -> None:
    keys = ["epoch", "hosts", "dataset"]
    assert run(client, "fence", keys, 0, "", "word", TOPIC)[:3] == [0, b"", b"word"]
    assert not client.exists("epoch", "hosts")
    with client.pubsub() as subscription:
        subscription.subscribe(TOPIC)
        subscription.get_message(timeout=5)
        assert run(client, "fence", keys, 3, "three", "other word", TOPIC)[:3] == [3, b"three", b"word"]
        announced = subscription.get_message(timeout=5)
    assert announced is not None
    assert announced["data"] == b"three"
    assert run(client, "fence", keys, 2, "two", "", TOPIC)[:2] == [3, b"three"]
    assert abs(int(run(client, "fence", keys, 3, "three", "", TOPIC)[3]) - time.time() * 1000) < 5000


def test_who_comes_back_to_a_full_server_fences_and_reads_all_the_same(client: redis.Redis) -> None:
    keys = ["epoch", "hosts", "dataset"]
    run(client, "fence", keys, 3, "three", "word", TOPIC)
    stream_id = publish(client, group("body"), epoch=3, word="word")[1]
    client.config_set("maxmemory", 1)
    try:
        assert run(client, "fence", keys, 3, "three", "other", TOPIC)[:3] == [3, b"three", b"word"]
        assert run(client, "join", ["epoch", "stream"])[:2] == [3, stream_id]
        assert len(run(client, "read", ["epoch", "stream"], "-", 2, 1000)[-1]) == 1
        with pytest.raises(redis.ResponseError, match=r"OOM|memory"):
            run(client, "fence", keys, 4, "four", "other", TOPIC)
    finally:
        client.config_set("maxmemory", 0)


def test_join_says_where_the_stream_ends(client: redis.Redis) -> None:
    assert run(client, "join", ["epoch", "stream"])[:2] == [0, b"0-0"]
    _, stream_id = publish(client, group("body"))
    client.set("epoch", 4)
    assert run(client, "join", ["epoch", "stream"])[:2] == [4, stream_id]


def test_read_pages_through_a_stream(client: redis.Redis) -> None:
    ids = publish(client, *(group(str(number)) for number in range(5)))[1:]
    _, _, more, last, page = run(client, "read", ["epoch", "stream"], "-", 2, 1000)
    assert (more, last) == (1, ids[4])
    assert page == [[ids[0], b"0-0/0", b"0"], [ids[1], ids[0] + b"/0", b"1"]]
    _, _, more, last, rest = run(client, "read", ["epoch", "stream"], f"({ids[1].decode()}", 10, 1000)
    assert (more, last, [body for *_, body in rest]) == (0, ids[4], [b"2", b"3", b"4"])
    assert run(client, "read", ["epoch", "nothing"], "-", 10, 1000)[2:] == [0, b"0-0", []]


def test_read_brings_what_is_no_entry_with_what_it_lacks_left_empty(client: redis.Redis) -> None:
    foreign = client.xadd("stream", {"foo": "bar"})
    half = client.xadd("stream", {"foo": "bar", "e": "raw"})
    turned = client.xadd("stream", {"l": "link", "e": "raw"})
    page = run(client, "read", ["epoch", "stream"], "-", 10, 1000)[4]
    assert page == [[foreign, b"", b""], [half, b"", b"raw"], [turned, b"link", b"raw"]]


def test_read_ends_a_page_by_its_bytes_and_always_brings_an_entry(client: redis.Redis) -> None:
    publish(client, *(group("x" * 100) for _ in range(3)))
    _, _, more, _, page = run(client, "read", ["epoch", "stream"], "-", 10, 150)
    assert (more, len(page)) == (1, 2)
    _, _, more, _, page = run(client, "read", ["epoch", "stream"], "-", 10, 1)
    assert (more, len(page)) == (1, 1)


MEMBER_KEYS = ["epoch", "hosts", "members", "groups"]


def test_member_adds_and_removes_at_the_writers_epoch_only(client: redis.Redis) -> None:
    assert run(client, "member", MEMBER_KEYS, 0, "add", "work", 60_000, "room", 0) == [b"OK"]
    assert client.zrange("members", 0, -1) == [b"work"]
    assert 0 < client.pttl("members") <= 60_000
    assert run(client, "groups", ["groups"]) == [b"room"]
    assert run(client, "member", MEMBER_KEYS, 0, "remove", "work", 60_000, "room", 0) == [b"OK"]
    assert not client.exists("members", "groups")
    assert run(client, "member", MEMBER_KEYS, 1, "add", "work", 60_000, "room", 0) == [b"OLD", 0]
    client.mset({"epoch": 2, "hosts": "document"})
    assert run(client, "member", MEMBER_KEYS, 1, "add", "work", 60_000, "room", 0) == [b"NEW", 2, b"document"]


def test_the_index_of_groups_forgets_those_whose_members_have_expired(client: redis.Redis) -> None:
    now = int(time.time() * 1000)
    client.zadd("groups", {"expired": now - 61_000, "young": now - 50_000})
    for action, left in (("add", [b"young", b"room"]), ("remove", [b"young"])):
        assert run(client, "member", MEMBER_KEYS, 0, action, "work", 60_000, "room", 0) == [b"OK"]
        assert run(client, "groups", ["groups"]) == left
        client.zadd("groups", {"expired": now - 61_000})


def test_who_was_taken_out_in_the_middle_of_a_move_is_not_brought_back_by_what_is_carried_over(
    client: redis.Redis,
) -> None:
    run(client, "member", ["epoch", "hosts", "elsewhere", "their groups"], 0, "add", "work", 60_000, "room", 0)
    run(client, "member", ["epoch", "hosts", "elsewhere", "their groups"], 0, "add", "mail", 60_000, "room", 0)
    (held,) = run(client, "members", ["elsewhere"])
    run(client, "member", MEMBER_KEYS, 0, "remove", "work", 60_000, "room", 1)
    for _ in range(2):  # by two processes
        assert run(client, "carry", ["epoch", "groups", "members"], 0, 60_000, "room", *held) == 1
    assert publish(client, group("body"))[1][1:] == [b"mail"]
    assert run(client, "groups", ["groups"]) == [b"room"]
    run(client, "member", MEMBER_KEYS, 0, "add", "work", 60_000, "room", 1)
    assert set(publish(client, group("body"))[1][1:]) == {b"mail", b"work"}


def test_nothing_is_carried_or_dropped_at_another_epoch(client: redis.Redis) -> None:
    client.set("epoch", 3)
    assert run(client, "carry", ["epoch", "groups", "members"], 2, 60_000, "room", "work", 1) == 0
    run(client, "member", MEMBER_KEYS, 3, "add", "work", 60_000, "room", 0)
    assert run(client, "drop", ["epoch", "groups", "members"], 2, "room") == 0
    assert client.exists("groups", "members") == 2
    assert run(client, "drop", ["epoch", "groups", "members"], 3, "room") == 1
    assert client.exists("groups", "members") == 0


def test_heartbeat_keeps_the_living_and_drops_the_silent(client: redis.Redis) -> None:
    keys = ["epoch", "hosts", "processes", "process", "dataset"]
    client.zadd("processes", {"silent": 1})
    assert run(client, "heartbeat", keys, "me", "{}", 30, 0)[:2] == [0, b""]
    assert client.zrange("processes", 0, -1) == [b"me"]
    assert client.get("process") == b"{}"
    assert 0 < client.ttl("process") <= 30
    assert run(client, "lease", ["process"]) == 1
    assert run(client, "lease", ["nobody"]) == 0
    client.mset({"epoch": 2, "hosts": "document"})
    assert run(client, "heartbeat", keys, "me", "{}", 30, 1)[:2] == [2, b"document"]
    assert run(client, "heartbeat", keys, "me", "{}", 30, 2)[:2] == [2, b""]


def test_a_shard_that_has_lost_the_data_that_it_had_says_so_and_takes_nothing_from_who_does_not_know(
    client: redis.Redis,
) -> None:
    keys = ["epoch", "hosts", "processes", "process", "dataset"]
    client.set("dataset", "word")
    assert run(client, "heartbeat", keys, "me", "{}", 30, 0)[3] == b"word"
    assert publish(client, group("body"), word="word")[0] == b"OK"
    client.flushall()
    assert run(client, "heartbeat", keys, "me", "{}", 30, 0)[3] == b""
    assert publish(client, group("body"), word="word") == [b"OLD", 0]
    client.set("dataset", "another")
    assert publish(client, group("body"), word="word") == [b"OLD", 0]
    assert publish(client, group("body"), word="another")[0] == b"OK"


def test_a_primary_without_its_replicas_takes_neither_messages_nor_heartbeats(client: redis.Redis) -> None:
    client.config_set("min-replicas-to-write", 1)
    try:
        for message in (group("body"), ("i", "inbox", "full", "body", 0, 1), queued("body", 1)):
            with suppress(redis.ResponseError):  # of the script, or of one message in it
                assert "NOREPLICAS" in str(publish(client, message)[1])
        with pytest.raises(redis.ResponseError, match="NOREPLICAS"):
            run(client, "heartbeat", ["epoch", "hosts", "processes", "process", "dataset"], "me", "{}", 30, 0)
        assert not client.exists("stream", "inbox", "queue", "process")
    finally:
        client.config_set("min-replicas-to-write", 0)


def test_a_document_is_replaced_by_its_signed_form_only_while_it_is_the_one_that_was_read(client: redis.Redis) -> None:
    client.set("hosts", "as read")
    assert run(client, "sign", ["hosts"], "something else", "signed") == 0
    assert client.get("hosts") == b"as read"
    assert run(client, "sign", ["hosts"], "as read", "signed") == 1
    assert client.get("hosts") == b"signed"
