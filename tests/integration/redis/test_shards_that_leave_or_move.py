"""A shard that leaves the list is missed by nobody; one that has another address is followed there, by everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.conditions import until
from tests.support.receiving import soon
from tests.support.redis_process import RedisProcess
from tests.support.replaced_file import put

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
Servers = dict[str, RedisProcess]
NOTICES = {"on_disconnect": "redis.disconnect", "on_reconnect": "redis.reconnect"}
ROOMS = [f"room-{number}" for number in range(8)]
SECONDS = 20.0


@pytest.fixture
async def servers() -> AsyncIterator[Servers]:
    with RedisProcess() as one, RedisProcess() as two:
        yield {"one": one, "two": two}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hosts.json"
    monkeypatch.setenv("REALTIME_GATEWAY_CONFIG", str(path))
    return path


def shards(servers: Servers, *names: str) -> tuple[Shard, ...]:
    return tuple(Shard(name, 1.0, {"address": servers[name].url}) for name in names)


async def in_every_room(layer: RedisChannelLayer) -> str:
    channel: str = await layer.new_channel()
    for room in ROOMS:
        await layer.group_add(room, channel)
    return channel


def reported(layer: RedisChannelLayer) -> int:
    return layer._binding.state.machine.reported_epoch


def linked_to(layer: RedisChannelLayer) -> set[str]:
    driver = layer._binding._driver
    assert driver is not None
    return set(driver.links.open)


async def test_a_shard_that_leaves_in_order_is_no_interruption(servers: Servers, file: Path, make_layer: Make) -> None:
    first = HostList(1, shards(servers, "one", "two"))
    put(file, first.to_json())
    layer = make_layer(**NOTICES)
    channel = await in_every_room(layer)
    put(file, HostList(2, shards(servers, "one"), (first,)).to_json())
    await until(lambda: reported(layer) == 2, SECONDS)
    put(file, HostList(3, shards(servers, "one")).to_json())
    await until(lambda: reported(layer) == 3 and linked_to(layer) == {"one"}, SECONDS)
    await layer.group_send(ROOMS[0], {"type": "word"})
    assert await soon(layer, channel, SECONDS) == {"type": "word"}, "and nothing before it"


async def test_an_interruption_ends_when_the_dead_shard_has_been_replaced(
    servers: Servers, file: Path, make_layer: Make
) -> None:
    first = HostList(1, shards(servers, "one", "two"))
    put(file, first.to_json())
    layer = make_layer(history_seconds=1, **NOTICES)
    channel = await in_every_room(layer)
    await asyncio.to_thread(servers["two"].kill)
    assert await soon(layer, channel, SECONDS) == {"type": "redis.disconnect", "shard": "two"}
    put(file, HostList(2, shards(servers, "one"), (first,)).to_json())
    back = await soon(layer, channel, SECONDS)
    assert (back["type"], back["shard"]) == ("redis.reconnect", "two")
    assert back["lost"] is True, "it was out of reach for longer than the history, and took what it had along"
    assert set(back["groups"]) == {room for room in ROOMS if first.owner(room).name == "two"}


async def test_a_living_shard_that_has_another_address_is_followed_by_those_who_receive_and_those_who_send(
    servers: Servers, file: Path, make_layer: Make
) -> None:
    before = (Shard("a", 1.0, {"address": servers["one"].url}),)
    after = (Shard("a", 1.0, {"address": servers["two"].url}),)
    put(file, HostList(1, before).to_json())
    reader, old_sender = make_layer(), make_layer()
    channel = await in_every_room(reader)
    await old_sender.group_send(ROOMS[0], {"type": "word", "n": "before"})
    assert (await soon(reader, channel, SECONDS))["n"] == "before"

    put(file, HostList(2, after, (HostList(1, before),)).to_json())
    new_sender = make_layer()
    for number, room in enumerate(ROOMS):
        sender = (new_sender, old_sender)[number % 2]
        await sender.group_send(room, {"type": "word", "n": number})
    heard = [(await soon(reader, channel, SECONDS))["n"] for _ in ROOMS]
    assert sorted(heard) == list(range(len(ROOMS)))
    await until(lambda: reported(reader) == 2, SECONDS)
    with servers["two"].client as client:
        assert client.pubsub_numsub("asgi:a:g:room-0") == [(b"asgi:a:g:room-0", 1)]
