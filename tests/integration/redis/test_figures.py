"""The layer's figures, over a real Redis: what they say, and that no number of groups and users makes more of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.telemetry import metrics_page, recorder
from realtime_gateway.telemetry.histogram import Histogram, Series

Make = Callable[..., RedisChannelLayer]

MANY = 10_000


def count(histogram: Histogram, label_value: str = "") -> int:
    return sum(histogram.series[label_value].counts)


async def room(layer: RedisChannelLayer, group: str = "room") -> str:
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    return channel


async def soon(layer: RedisChannelLayer, channel: str) -> object:
    async with asyncio.timeout(10):
        return await layer.receive(channel)


async def test_a_message_to_another_process_is_timed_from_its_send_to_its_consumer(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for histogram, label in ((recorder.delivery_seconds, "mailbox"), (recorder.layer_publish_seconds, "group")):
        monkeypatch.setitem(histogram.series, label, Series(len(histogram.bounds) + 1))
    sender, receiver = make_layer(redis_server.url), make_layer(redis_server.url)
    channel = await room(receiver)
    begun = time.monotonic()
    await sender.group_send("room", {"type": "x"})
    await soon(receiver, channel)
    took = time.monotonic() - begun
    assert count(recorder.layer_publish_seconds, "group") == count(recorder.delivery_seconds, "mailbox") == 1
    # Stream ids and uvloop's clock count milliseconds.
    assert 0 < recorder.layer_publish_seconds.series["group"].total <= took + 0.002
    assert recorder.delivery_seconds.series["mailbox"].total <= took + 0.002


async def test_a_consumer_that_comes_late_shows_in_the_delivery(
    redis_server: RedisProcess, make_layer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    histogram = recorder.delivery_seconds
    monkeypatch.setitem(histogram.series, "mailbox", Series(len(histogram.bounds) + 1))
    layer = make_layer(redis_server.url)
    channel = await room(layer)
    await layer.group_send("room", {"type": "x"})
    box = layer._binding.state.mailboxes.get(channel)
    await until(lambda: len(box) == 1)
    arrived = time.monotonic()
    await until(lambda: time.monotonic() - arrived > 0.2)
    await soon(layer, channel)
    assert histogram.series["mailbox"].total > 0.2


async def test_the_wait_in_a_workers_queue_is_timed(redis_server: RedisProcess, make_layer: Make) -> None:
    sender, worker = make_layer(redis_server.url), make_layer(redis_server.url)
    before = count(recorder.layer_queue_wait_seconds), recorder.layer_queue_wait_seconds.series[""].total
    await sender.send("thumbnails", {"type": "x"})
    sent = time.monotonic()
    await until(lambda: time.monotonic() - sent > 0.2)
    await soon(worker, "thumbnails")
    assert count(recorder.layer_queue_wait_seconds) == before[0] + 1
    assert recorder.layer_queue_wait_seconds.series[""].total - before[1] >= 0.19


async def test_what_a_process_has_is_looked_at_once_a_second(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url)
    channel = await room(layer)
    await layer.group_send("room", {"type": "x"})
    [shard] = layer.hosts.shards
    await until(lambda: recorder.layer_waiting.values.get("mailbox") == 1, 10)
    assert recorder.layer_shard_up.values == {shard.name: 1}
    assert recorder.layer_mailboxes.values == {"": 1}
    assert recorder.layer_groups.values == {"live": 2, "catching_up": 0}  # the group, and the inbox
    assert recorder.layer_waiting_bytes.values["kept"] > 0
    # One machine, one clock; a heartbeat's round trip bounds the rest.
    await until(lambda: shard.name in recorder.layer_clock_offset.values, 10)
    offset, error = recorder.layer_clock_offset.values[shard.name], recorder.layer_clock_error.values[shard.name]
    assert abs(offset) <= error + 0.05
    await soon(layer, channel)


async def test_a_shard_that_is_away_shows_and_comes_back_as_another_server(make_layer: Make) -> None:
    with RedisProcess() as server:
        layer = make_layer(server.url, send_timeout=10)
        channel = await room(layer)
        [shard] = layer.hosts.shards
        await until(lambda: recorder.layer_shard_up.values.get(shard.name) == 1, 10)
        failovers = recorder.layer_failovers.values.get(shard.name, 0)
        resent = recorder.layer_resent.values.get("", 0)
        await layer.group_send("room", {"type": "x"})
        server.kill()
        await until(lambda: recorder.layer_shard_up.values.get(shard.name) == 0, 10)
        sending = asyncio.create_task(layer.group_send("room", {"type": "y"}))
        await until(lambda: recorder.layer_oldest.values.get("", 0) > 0, 10)
        server.restart()
        await sending
        assert [await soon(layer, channel), await soon(layer, channel)] == [{"type": "x"}, {"type": "y"}]
        assert recorder.layer_failovers.values[shard.name] == failovers + 1
        assert recorder.layer_resent.values[""] == resent + 1
        await until(lambda: recorder.layer_shard_up.values.get(shard.name) == 1, 10)


async def test_ten_thousand_groups_and_users_add_no_series(redis_server: RedisProcess, make_layer: Make) -> None:
    layer = make_layer(redis_server.url)
    await use(layer, ["first"])
    await until(lambda: recorder.layer_shard_up.values.get(layer.hosts.shards[0].name) == 1, 10)
    before = series()
    await use(layer, [f"user_{number}" for number in range(MANY)])
    await until(lambda: recorder.layer_groups.values["live"] > MANY, 20)
    assert series() == before


async def use(layer: RedisChannelLayer, groups: list[str]) -> None:
    """Let a member of each group get a message of its own, and one through its channel."""
    channels = [await layer.new_channel() for _ in groups]
    await asyncio.gather(*map(layer.group_add, groups, channels))
    await asyncio.gather(*(layer.group_send(group, {"type": "x"}) for group in groups))
    await asyncio.gather(*(layer.send(channel, {"type": "y"}) for channel in channels))
    for channel in channels:
        assert {(await soon(layer, channel))["type"] for _ in range(2)} == {"x", "y"}  # type: ignore[index]


def series() -> set[str]:
    """The names and labels on the metrics page, without their values."""
    page = metrics_page.render(metrics_page.make_registry())[1].decode()
    return {line.rsplit(" ", 1)[0] for line in page.splitlines() if not line.startswith("#")}
