"""What Channels specifies of a channel layer. One body, every backend: upstream's and ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.exceptions import ChannelFull
from tests.contract.backends import OURS, UPSTREAM, Deployment, Servers, deployed
from tests.support.receiving import nothing, soon

pytestmark = pytest.mark.filterwarnings(
    # channels_redis leaves its connections to the garbage collector.
    "ignore:unclosed Connection:ResourceWarning"
)


async def test_a_message_reaches_the_channel_it_is_sent_to(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    await layer.send(channel, {"type": "greeting", "text": "Grüße 👋", "n": 1.5, "list": [1, None, True]})
    assert await soon(layer, channel) == {"type": "greeting", "text": "Grüße 👋", "n": 1.5, "list": [1, None, True]}


async def test_messages_to_one_channel_keep_their_order(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    for number in range(50):
        await layer.send(channel, {"type": "count", "n": number})
    assert [(await soon(layer, channel))["n"] for _ in range(50)] == list(range(50))


async def test_a_receiver_that_waits_gets_what_is_sent_later(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    receiver = asyncio.create_task(soon(layer, channel))
    await asyncio.sleep(0)
    await layer.send(channel, {"type": "late"})
    assert await receiver == {"type": "late"}


async def test_new_channels_have_distinct_valid_names_with_the_given_prefix(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channels = {await layer.new_channel() for _ in range(10)} | {await layer.new_channel("upload") for _ in range(10)}
    assert len(channels) == 20
    assert all(layer.require_valid_channel_name(channel) for channel in channels)
    assert sum(channel.startswith("upload") for channel in channels) == 10


async def test_a_group_message_reaches_every_member_and_nobody_else(anywhere: Deployment) -> None:
    layer = anywhere.process()
    members = [await layer.new_channel() for _ in range(3)]
    stranger = await layer.new_channel()
    for channel in members:
        await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "hello"})
    await layer.send(stranger, {"type": "direct"})
    assert [await soon(layer, channel) for channel in members] == [{"type": "hello"}] * 3
    assert await soon(layer, stranger) == {"type": "direct"}


async def test_who_leaves_a_group_gets_no_more_of_it(anywhere: Deployment) -> None:
    layer = anywhere.process()
    stays, leaves = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", stays)
    await layer.group_add("room", leaves)
    await layer.group_discard("room", leaves)
    await layer.group_send("room", {"type": "hello"})
    await layer.send(leaves, {"type": "marker"})
    assert await soon(layer, stays) == {"type": "hello"}
    assert await soon(layer, leaves) == {"type": "marker"}


async def test_leaving_a_group_one_is_not_in_does_nothing(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    await layer.group_discard("room", channel)
    await layer.group_add("room", channel)
    await layer.group_discard("room", channel)
    await layer.group_discard("room", channel)


async def test_sending_to_a_group_without_members_does_nothing(anywhere: Deployment) -> None:
    await anywhere.process().group_send("nobody", {"type": "hello"})


async def test_a_channel_in_several_groups_gets_the_messages_of_each(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    for number in range(5):
        await layer.group_add(f"room-{number}", channel)
    for number in range(5):
        await layer.group_send(f"room-{number}", {"type": "hello", "n": number})
    assert sorted([(await soon(layer, channel))["n"] for _ in range(5)]) == list(range(5))


async def test_being_added_twice_does_not_double_messages(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "once"})
    await layer.send(channel, {"type": "marker"})
    assert sorted([(await soon(layer, channel))["type"] for _ in range(2)]) == ["marker", "once"]
    assert await nothing(layer, channel)


async def test_a_full_channel_raises_channel_full_and_takes_more_once_read(servers: Servers) -> None:
    for backend in (*UPSTREAM, *OURS):
        async with deployed(backend, servers, capacity=3) as deployment:
            layer = deployment.process()
            channel = await layer.new_channel()
            for _ in range(3):
                await layer.send(channel, {"type": "fill"})
            with pytest.raises(ChannelFull):
                await layer.send(channel, {"type": "too much"})
            for _ in range(3):
                await soon(layer, channel)
            await layer.send(channel, {"type": "again"})
            assert (await soon(layer, channel))["type"] == "again", backend


@pytest.mark.parametrize("name", ["a", "9", "_", "-.-", "UPPER.lower-1_2", "x" * 99, "m.g", "group", "epoch"])
async def test_a_name_may_have_every_legal_character_and_length(ours: Deployment, name: str) -> None:
    here, there = ours.process(), ours.process()
    member, direct = await here.new_channel(), await there.new_channel(name[:40])
    for channel in (member, name, direct):
        await there.group_add(name, channel)
    await here.group_send(name, {"type": "to all"})
    assert [await soon(*one) for one in ((here, member), (here, name), (there, direct))] == [{"type": "to all"}] * 3
    await here.send(direct, {"type": "direct"})
    assert await soon(there, direct) == {"type": "direct"}


@pytest.mark.parametrize("name", ["has space", "slash/ed", "", "x" * 100, "naïve", None, 5, b"bytes"])
async def test_a_bad_channel_name_is_a_type_error(anywhere: Deployment, name: Any) -> None:
    layer = anywhere.process()
    with pytest.raises(TypeError):
        await layer.send(name, {"type": "x"})


@pytest.mark.parametrize("name", ["has space", "with!mark", "", "x" * 100, None])
async def test_a_bad_group_name_is_a_type_error(anywhere: Deployment, name: Any) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    for call in (layer.group_add(name, channel), layer.group_discard(name, channel), layer.group_send(name, {})):
        with pytest.raises(TypeError):
            await call


async def test_only_dicts_can_be_sent(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    with pytest.raises(AssertionError):
        await layer.send(channel, "text")


async def test_a_normal_channel_is_a_queue(anywhere: Deployment) -> None:
    layer = anywhere.process()
    for number in range(5):
        await layer.send("work", {"type": "job", "n": number})
    got = [(await soon(layer, "work"))["n"] for _ in range(5)]
    assert sorted(got) == list(range(5))


async def test_flush_clears_messages_and_groups(anywhere: Deployment) -> None:
    layer = anywhere.process()
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.send("work", {"type": "job"})
    await layer.flush()
    await layer.group_send("room", {"type": "hello"})
    assert await nothing(layer, "work")
    assert await nothing(layer, channel)


async def test_what_has_expired_is_not_received(servers: Servers) -> None:
    for backend in OURS:
        async with deployed(backend, servers, expiry=0.3) as deployment:
            layer = deployment.process()
            channel = await layer.new_channel()
            await layer.send(channel, {"type": "old"})
            await layer.send("work", {"type": "old"})
            await asyncio.sleep(0.5)
            await layer.send(channel, {"type": "new"})
            await layer.send("work", {"type": "new"})
            assert (await soon(layer, channel))["type"] == "new"
            assert (await soon(layer, "work"))["type"] == "new"


async def test_what_a_process_sends_to_itself_is_there_when_send_returns(anywhere: Deployment) -> None:
    layer = anywhere.process()
    member, direct = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", member)
    for number in range(100):
        await layer.group_send("room", {"type": "count", "n": number})
        await layer.send(direct, {"type": "count", "n": number})
        if anywhere.ours:
            # As in the layer that lives in memory, whoever looks now finds it.
            assert [len(layer._binding.state.mailboxes.get(channel)) for channel in (member, direct)] == [1, 1]
        assert [(await soon(layer, channel))["n"] for channel in (member, direct)] == [number, number]


async def test_a_queue_takes_whatever_the_serializer_does(ours: Deployment) -> None:
    layer = ours.process()
    for message in ("text", 5, None, ["a", {"b": 1}]):
        await layer.send("work", message)
        assert await soon(layer, "work") == message
    with pytest.raises(AssertionError, match="not a dict"):
        await layer.group_send("room", "text")
