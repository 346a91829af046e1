"""`on_disconnect` and `on_reconnect`: what consumers are told when a real server is killed and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
NOTICES = {"on_disconnect": "redis.disconnect", "on_reconnect": "redis.reconnect"}
SECONDS = 20


@pytest.fixture
def servers() -> Iterator[tuple[RedisProcess, RedisProcess]]:
    with RedisProcess() as one, RedisProcess() as two:
        yield one, two


async def soon(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(SECONDS):
        message: dict[str, Any] = await layer.receive(channel)
    return message


def rooms_of(layer: RedisChannelLayer, shard: str) -> list[str]:
    return [name for name in map("room-{}".format, range(6)) if layer.hosts.owner(name).name == shard]


async def in_every_room(layer: RedisChannelLayer) -> str:
    channel: str = await layer.new_channel()
    for shard in ("0", "1"):
        for room in rooms_of(layer, shard):
            await layer.group_add(room, channel)
    return channel


async def test_every_local_channel_hears_which_shard_is_gone_and_which_of_its_groups_are_back(
    servers: tuple[RedisProcess, RedisProcess], make_layer: Make
) -> None:
    layer = make_layer(*(server.url for server in servers), **NOTICES)
    channels = [await in_every_room(layer), await layer.new_channel()]
    await asyncio.to_thread(servers[1].kill)
    for channel in channels:
        assert await soon(layer, channel) == {"type": "redis.disconnect", "shard": "1"}
    await asyncio.to_thread(servers[1].start)
    for channel in channels:
        back = await soon(layer, channel)
        assert (back["type"], back["shard"], back["lost"]) == ("redis.reconnect", "1", False)
        assert sorted(back["groups"]) == sorted(rooms_of(layer, "1"))


async def test_a_server_that_comes_back_empty_within_the_history_has_lost_nothing(
    servers: tuple[RedisProcess, RedisProcess], make_layer: Make
) -> None:
    layer, sender = make_layer(servers[0].url, **NOTICES), make_layer(servers[0].url, send_timeout=SECONDS)
    channel = await in_every_room(layer)
    await sender.group_send("room-0", {"type": "word", "n": 1})
    await asyncio.to_thread(servers[0].kill)
    sending = asyncio.create_task(sender.group_send("room-0", {"type": "word", "n": 2}))
    await asyncio.to_thread(servers[0].start)
    await sending
    heard = [await soon(layer, channel) for _ in range(4)]
    assert [message["n"] for message in heard if message["type"] == "word"] == [1, 2]
    (back,) = (message for message in heard if message["type"] == "redis.reconnect")
    assert back["lost"] is False


async def test_an_absence_longer_than_the_history_is_told_as_a_loss(
    servers: tuple[RedisProcess, RedisProcess], make_layer: Make
) -> None:
    layer = make_layer(servers[0].url, history_seconds=1, **NOTICES)
    channel = await in_every_room(layer)
    await asyncio.to_thread(servers[0].kill)
    assert (await soon(layer, channel))["type"] == "redis.disconnect"
    await asyncio.sleep(1.5)  # the history is a matter of time
    await asyncio.to_thread(servers[0].start)
    back = await soon(layer, channel)
    assert (back["type"], back["lost"]) == ("redis.reconnect", True)
    assert sorted(back["groups"]) == sorted(map("room-{}".format, range(6)))


async def test_a_consumer_with_a_full_mailbox_hears_of_it_as_well(
    servers: tuple[RedisProcess, RedisProcess], make_layer: Make
) -> None:
    layer, sender = make_layer(servers[0].url, capacity=2, **NOTICES), make_layer(servers[0].url)
    channel = await in_every_room(layer)
    for number in range(5):
        await sender.group_send("room-0", {"type": "word", "n": number})
    mailbox = layer._binding.state.mailboxes.get(channel)
    assert mailbox is not None
    async with asyncio.timeout(SECONDS):
        while not mailbox.full:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(servers[0].restart)
    kinds = [(await soon(layer, channel))["type"] for _ in range(4)]
    assert kinds == ["word", "word", "redis.disconnect", "redis.reconnect"]


async def test_without_the_options_nobody_hears_anything(
    servers: tuple[RedisProcess, RedisProcess], make_layer: Make
) -> None:
    layer = make_layer(servers[0].url)
    channel = await in_every_room(layer)
    await asyncio.to_thread(servers[0].restart)
    await layer.group_send("room-0", {"type": "word"})
    assert await soon(layer, channel) == {"type": "word"}
