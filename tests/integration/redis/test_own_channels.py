"""What a process sends to its own channels takes room in them while it is on its way, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from channels.exceptions import ChannelFull
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer, names

Make = Callable[..., RedisChannelLayer]


def on_their_way(layer: RedisChannelLayer, channel: str) -> int:
    state = layer._binding.state
    return state.own.count(channel, names.inbox(state.client_prefix))


async def test_a_send_that_was_cancelled_takes_room_until_it_has_an_end(make_layer: Make) -> None:
    with RedisProcess() as server:
        layer = make_layer(server.url, capacity=2, send_timeout=1)
        channel = await layer.new_channel()
        await layer.send(channel, {"type": "first"})
        assert (await layer.receive(channel))["type"] == "first"
        server.pause()
        sending = [asyncio.create_task(layer.send(channel, {"type": "x"})) for _ in range(2)]
        await until(lambda: on_their_way(layer, channel) == 2)
        for task in sending:
            task.cancel()
        await asyncio.wait(sending)
        # They may be stored yet.
        with pytest.raises(ChannelFull):
            await layer.send(channel, {"type": "x"})
        await until(lambda: on_their_way(layer, channel) == 0, 20)
        server.restart()
        async with asyncio.timeout(20):
            await layer.send(channel, {"type": "last"})
            assert (await layer.receive(channel))["type"] == "last"


async def test_nothing_is_remembered_of_what_is_sent_to_channels_that_are_gone(
    redis_server: RedisProcess, make_layer: Make
) -> None:
    layer = make_layer(redis_server.url)
    channels = [await layer.new_channel() for _ in range(3)]
    for channel in channels:
        await layer.forget(channel)
        await layer.send(channel, {"type": "x"})
    assert not layer._binding.state.own._on_their_way
