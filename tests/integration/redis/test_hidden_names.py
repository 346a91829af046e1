"""Groups whose names nobody who looks at Redis can read."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer

Make = Callable[..., RedisChannelLayer]
SECRET = "a secret of some length"


async def soon(layer: RedisChannelLayer, channel: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        message: dict[str, Any] = await layer.receive(channel)
        return message


@contextmanager
def watched(server: RedisProcess) -> Iterator[Callable[[], bytes]]:
    """What anybody who may use MONITOR sees, with every argument of every command."""
    with socket.create_connection(server.address) as connection:
        connection.sendall(b"MONITOR\r\n")
        assert connection.recv(100).startswith(b"+OK")
        seen = bytearray()
        connection.setblocking(False)

        def read() -> bytes:
            try:
                while more := connection.recv(1_000_000):
                    seen.extend(more)
            except BlockingIOError:
                pass
            return bytes(seen)

        yield read


async def use_everything(here: RedisChannelLayer, there: RedisChannelLayer) -> None:
    mine, theirs = await here.new_channel(), await there.new_channel()
    for channel in (mine, theirs, "work"):
        await here.group_add("patients.smith", channel)
    await there.group_send("patients.smith", {"type": "hello"})
    for layer, channel in ((here, mine), (there, theirs), (here, "work")):
        assert (await soon(layer, channel))["type"] == "hello"
    for channel in (theirs, "work"):
        await here.group_discard("patients.smith", channel)
    await there.group_send("patients.smith", {"type": "again"})
    await there.send(theirs, {"type": "marker"})
    assert (await soon(here, mine))["type"] == "again"
    assert (await soon(there, theirs))["type"] == "marker"


@pytest.mark.parametrize("hidden", [True, False])
async def test_no_name_of_a_group_stands_in_a_key_a_command_or_a_channels_name(
    redis_server: RedisProcess, make_layer: Make, hidden: bool
) -> None:
    options: dict[str, Any] = {"prefix": f"hidden-{hidden}", "symmetric_encryption_keys": ["key"]}
    if hidden:
        options["hide_names"] = SECRET
    with redis_server.client as client, watched(redis_server) as seen:
        here, there = make_layer(redis_server.url, **options), make_layer(redis_server.url, **options)
        await use_everything(here, there)
        await until(lambda: seen().count(b"EVALSHA") > 5)
        shown = seen() + b" ".join(client.keys("*")) + b" ".join(client.pubsub_channels("*"))
    # Without the option it does, which shows that this looks at the right places.
    assert (b"smith" not in shown) == hidden


async def test_people_are_told_the_name(
    redis_server: RedisProcess, make_layer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "realtime_gateway.layer")
    layer = make_layer(redis_server.url, prefix="told", hide_names=SECRET, capacity=1, on_reconnect="back")
    channel = await layer.new_channel()
    await layer.group_add("patients.smith", channel)
    for _ in range(2):
        await layer.group_send("patients.smith", {"type": "x"})
    assert "1 of 1 channels over capacity in group patients.smith" in caplog.text
    assert (await soon(layer, channel))["type"] == "x"
    with redis_server.client as client:
        client.client_kill_filter(_type="pubsub")
    assert (await soon(layer, channel))["groups"] == ["patients.smith"]


async def test_processes_with_other_secrets_do_not_meet(redis_server: RedisProcess, make_layer: Make) -> None:
    one = make_layer(redis_server.url, prefix="secrets", hide_names=SECRET)
    other = make_layer(redis_server.url, prefix="secrets", hide_names=SECRET[::-1])
    channel = await one.new_channel()
    await one.group_add("room", channel)
    await other.group_send("room", {"type": "for others"})
    await other.send(channel, {"type": "direct"})
    assert (await soon(one, channel))["type"] == "direct"
