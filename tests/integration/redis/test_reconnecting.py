"""Connections break and servers go away; every message is numbered and counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.free_port import free_port
from tests.support.redis_process import RedisProcess, SentinelProcess

from realtime_gateway.errors import ShardRefused, ShardUnavailable
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.layer.shards.link import Link
from realtime_gateway.telemetry import recorder

Make = Callable[..., RedisChannelLayer]


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


async def numbers(layer: RedisChannelLayer, channel: str, until: int) -> list[int]:
    got: list[int] = []
    async with asyncio.timeout(30):
        while not got or got[-1] != until:
            got.append((await layer.receive(channel))["n"])
    return got


def info(server: RedisProcess, section: str) -> Any:
    with server.client as client:
        return client.info(section)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.05)


def kill_connections(server: RedisProcess, kind: str) -> None:
    with server.client as client:
        client.execute_command("CLIENT", "KILL", "TYPE", kind)


@pytest.mark.parametrize("kind", ["pubsub", "normal", "both"])
async def test_nothing_is_lost_or_repeated_when_connections_are_killed_under_load(
    server: RedisProcess, make_layer: Make, kind: str
) -> None:
    sender, receiver = make_layer(server.url), make_layer(server.url, capacity=100_000)
    member, direct = await receiver.new_channel(), await receiver.new_channel()
    await receiver.group_add("room", member)
    receiving = [asyncio.create_task(numbers(receiver, channel, 399)) for channel in (member, direct)]
    for number in range(400):
        if number % 50 == 25:
            for one in ("pubsub", "normal") if kind == "both" else (kind,):
                await asyncio.to_thread(kill_connections, server, one)
        await asyncio.gather(
            sender.group_send("room", {"type": "count", "n": number}),
            sender.send(direct, {"type": "count", "n": number}),
        )
    for task in receiving:
        assert await task == list(range(400))


async def test_what_was_sent_while_a_reader_was_away_is_read_from_the_stream(
    server: RedisProcess, make_layer: Make
) -> None:
    sender, receiver = make_layer(server.url), make_layer(server.url, capacity=10_000)
    channel = await receiver.new_channel()
    await receiver.group_add("room", channel)
    for number in range(1200):
        # More than a page of the stream is missed while the reader comes back.
        if number in (100, 101):
            await asyncio.to_thread(kill_connections, server, "pubsub")
        if number % 100 == 0:
            await asyncio.gather(
                *(sender.group_send("room", {"type": "count", "n": n}) for n in range(number, number + 100))
            )
    assert await numbers(receiver, channel, 1199) == list(range(1200))


async def test_a_link_that_breaks_in_the_moment_in_which_it_opens_is_made_again(
    server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken: list[Link] = []
    opened = Link.opened

    def break_before(link: Link, run_id: str) -> None:
        # All that was asked has been answered, and whoever dials has not gone on yet.
        if len(broken) < 2:
            broken.append(link)
            link.lost("the server closed the connection")
        opened(link, run_id)

    monkeypatch.setattr(Link, "opened", break_before)
    sender, receiver = make_layer(server.url), make_layer(server.url)
    channel = await receiver.new_channel()
    await receiver.group_add("room", channel)
    for number in range(3):
        await sender.group_send("room", {"type": "count", "n": number})
    assert await numbers(receiver, channel, 2) == [0, 1, 2]
    assert len(broken) == 2


async def test_a_server_that_comes_back_empty_on_its_address_costs_nothing(
    server: RedisProcess, make_layer: Make
) -> None:
    sender, receiver = make_layer(server.url), make_layer(server.url, capacity=10_000)
    channel = await receiver.new_channel()
    await receiver.group_add("room", channel)
    receiving = asyncio.create_task(numbers(receiver, channel, 299))
    sending = []
    for number in range(300):
        if number in (100, 200):
            await asyncio.to_thread(server.restart)
        sending.append(asyncio.create_task(sender.group_send("room", {"type": "count", "n": number})))
        await asyncio.sleep(0)
    await asyncio.gather(*sending)
    assert await receiving == list(range(300))


async def test_a_paused_server_makes_senders_wait_and_receivers_never_raise(
    server: RedisProcess, make_layer: Make
) -> None:
    sender, receiver = make_layer(server.url, send_timeout=30), make_layer(server.url)
    channel = await receiver.new_channel()
    await receiver.group_add("room", channel)
    receiving = asyncio.create_task(numbers(receiver, channel, 9))
    await sender.group_send("room", {"type": "count", "n": 0})
    server.pause()
    sending = [asyncio.create_task(sender.group_send("room", {"type": "count", "n": n})) for n in range(1, 10)]
    try:
        # Longer than a peer may leave a PING unanswered, so that the connection is given up and made again.
        await asyncio.sleep(6)
    finally:
        server.resume()
    await asyncio.gather(*sending)
    assert await receiving == list(range(10))


async def test_a_sender_without_a_server_gets_an_error_that_names_the_shard_in_time(make_layer: Make) -> None:
    layer = make_layer(f"redis://:secret@127.0.0.1:{free_port()}", send_timeout=0.5)
    started = time.monotonic()
    with pytest.raises(ShardUnavailable, match=r"shard '0' could not be reached within 0.5 s") as caught:
        await layer.group_send("room", {"type": "x"})
    assert time.monotonic() - started < 5
    assert caught.value.shard == "0"
    assert "secret" not in str(caught.value) + repr(layer)
    channel = await layer.new_channel()
    for call in (layer.send(channel, {}), layer.send("work", {}), layer.group_add("room", channel)):
        with pytest.raises(ShardUnavailable, match="'0'"):
            await call
    with pytest.raises(ShardUnavailable, match="'0'"):
        await layer.flush()


async def test_a_receiver_waits_for_a_server_that_starts_late(make_layer: Make) -> None:
    port = free_port()
    layer = make_layer(f"redis://127.0.0.1:{port}", send_timeout=20)
    channel = await layer.new_channel()
    receiving = asyncio.create_task(layer.receive(channel))
    sending = asyncio.create_task(layer.send(channel, {"type": "early"}))
    await asyncio.sleep(0.2)
    server = RedisProcess(port=port)
    await asyncio.to_thread(server.start)
    try:
        await sending
        async with asyncio.timeout(10):
            assert await receiving == {"type": "early"}
    finally:
        await layer.close()
        server.stop()


async def test_a_server_that_wants_a_password_refuses_with_its_own_words(make_layer: Make) -> None:
    with RedisProcess("--requirepass", "correct horse") as server:
        layer = make_layer(server.url, send_timeout=5)
        with pytest.raises(ShardRefused, match="NOAUTH"):
            await layer.group_send("room", {"type": "x"})
        wrong = make_layer(f"redis://:battery@127.0.0.1:{server.port}", send_timeout=5)
        with pytest.raises(ShardRefused) as caught:
            await wrong.group_send("room", {"type": "x"})
        assert "battery" not in str(caught.value)
        right = make_layer({"host": "127.0.0.1", "port": server.port, "password": "correct horse"})
        await right.group_send("room", {"type": "x"})


async def test_a_server_without_memory_refuses_and_is_used_again_when_it_has_some(
    server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(server.url)
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "before"})
    with server.client as client:
        client.config_set("maxmemory", "1")
        with pytest.raises(ShardRefused, match="OOM"):
            await layer.send(channel, {"type": "refused"})
        client.config_set("maxmemory", "0")
    await layer.send(channel, {"type": "after"})
    assert (await layer.receive(channel))["type"] == "before"
    assert (await layer.receive(channel))["type"] == "after"


async def test_flushed_scripts_are_loaded_again(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    with server.client as client:
        client.script_flush()
    for number in range(10):
        await layer.group_send("room", {"type": "count", "n": number})
    assert await numbers(layer, channel, 9) == list(range(10))


async def test_all_data_may_vanish_under_a_live_connection(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(server.url)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "count", "n": 0})
    with server.client as client:
        client.flushall()
    await layer.group_send("room", {"type": "count", "n": 1})
    assert await numbers(layer, channel, 1) == [0, 1]


async def test_a_sentinel_failover_loses_nothing_that_was_acknowledged(make_layer: Make) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(RedisProcess())
        replica = stack.enter_context(RedisProcess("--replicaof", "127.0.0.1", str(primary.port)))
        await until(lambda: info(replica, "replication")["master_link_status"] == "up")
        sentinel = stack.enter_context(SentinelProcess({"failing": primary}))
        await until(lambda: info(sentinel, "sentinel")["master0"]["slaves"] == 1)
        host = {"sentinels": [sentinel.address], "master_name": "failing"}
        sender, receiver = make_layer(host, send_timeout=40), make_layer(host, capacity=10_000)
        channel = await receiver.new_channel()
        await receiver.group_add("room", channel)
        receiving = asyncio.create_task(numbers(receiver, channel, 199))
        for number in range(200):
            if number == 100:
                primary.kill()
            await sender.group_send("room", {"type": "count", "n": number})
        assert await receiving == list(range(200))


async def test_consumers_hear_of_a_lost_and_a_regained_shard_when_they_ask_for_it(
    server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(server.url, on_disconnect="redis.disconnect", on_reconnect="redis.reconnect")
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    before = recorder.layer_reconnects.values.get("", 0)
    await asyncio.to_thread(kill_connections, server, "pubsub")
    async with asyncio.timeout(10):
        assert await layer.receive(channel) == {"type": "redis.disconnect", "shard": "0"}
        back: dict[str, Any] = await layer.receive(channel)
    assert back == {"type": "redis.reconnect", "shard": "0", "lost": False, "groups": ["room"]}
    assert recorder.layer_reconnects.values[""] == before + 1


async def test_an_idle_receiver_is_not_cut_off(server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer({"address": server.url, "socket_timeout": 0.2})
    channel = await layer.new_channel()
    before = recorder.layer_reconnects.values.get("", 0)
    receiving = asyncio.create_task(layer.receive(channel))
    await asyncio.sleep(3)
    assert recorder.layer_reconnects.values.get("", 0) == before
    await layer.send(channel, {"type": "awake"})
    assert await receiving == {"type": "awake"}


async def test_what_was_sent_to_a_shard_that_was_emptied_before_everybody_had_it_comes_all_the_same(
    server: RedisProcess, make_layer: Make
) -> None:
    with server.client as client:
        client.acl_setuser("reader", enabled=True, nopass=True, categories=["+@all"], keys=["*"], channels=["*"])
        reader, sender = make_layer(f"redis://reader@127.0.0.1:{server.port}"), make_layer(server.url)
        channel = await reader.new_channel()
        await reader.group_add("room", channel)
        client.execute_command("ACL", "SETUSER", "reader", "-subscribe")
        client.client_kill_filter(_type="pubsub")
        await sender.group_send("room", {"type": "word", "n": 1})
        client.flushall()
        client.execute_command("ACL", "SETUSER", "reader", "+subscribe")
    # Without another word of the sender's: its next heartbeat finds other data.
    assert await numbers(reader, channel, 1) == [1]
    await sender.group_send("room", {"type": "word", "n": 2})
    assert await numbers(reader, channel, 2) == [2]


async def test_what_is_sent_first_after_a_shard_was_emptied_overtakes_nothing(
    server: RedisProcess, make_layer: Make
) -> None:
    worker, sender = make_layer(server.url), make_layer(server.url)
    await sender.send("work", {"type": "word", "n": 1})
    with server.client as client:
        client.flushall()
    await worker.send("other-work", {"type": "word"})  # somebody else fences it first
    await sender.send("work", {"type": "word", "n": 2})
    assert await numbers(worker, "work", 2) == [1, 2]
