"""What our channel layer promises beyond the specification, in each way of being deployed."""

from __future__ import annotations

import asyncio
import itertools
import re
from typing import Any

import pytest
from channels.exceptions import ChannelFull
from tests.contract.backends import OURS, Deployment, Servers, deployed
from tests.support.receiving import SOON, nothing, soon

from realtime_gateway.errors import MembershipRefused, MessageTooLarge

pytestmark = pytest.mark.filterwarnings(
    # channels_redis leaves its connections to the garbage collector.
    "ignore:unclosed Connection:ResourceWarning"
)


async def test_messages_cross_processes_in_both_directions(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    channel_here, channel_there = await here.new_channel(), await there.new_channel()
    await here.send(channel_there, {"type": "to there"})
    await there.send(channel_here, {"type": "to here"})
    await here.group_add("room", channel_here)
    await there.group_add("room", channel_there)
    assert (await soon(there, channel_there))["type"] == "to there"
    assert (await soon(here, channel_here))["type"] == "to here"
    await here.group_send("room", {"type": "both"})
    assert (await soon(there, channel_there))["type"] == "both"
    assert (await soon(here, channel_here))["type"] == "both"


async def test_each_member_gets_a_dict_of_its_own(ours: Deployment) -> None:
    layer = ours.process()
    first, second = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", first)
    await layer.group_add("room", second)
    await layer.group_send("room", {"type": "hello", "nested": {"n": 1}})
    (await soon(layer, first))["nested"].clear()
    assert await soon(layer, second) == {"type": "hello", "nested": {"n": 1}}


async def test_another_processs_channel_can_be_added_and_removed(ours: Deployment) -> None:
    owner, other = ours.process(), ours.process()
    channel = await owner.new_channel()
    await other.group_add("room", channel)
    await other.group_send("room", {"type": "hello"})
    assert await soon(owner, channel) == {"type": "hello"}
    await other.group_discard("room", channel)
    await other.group_send("room", {"type": "gone"})
    await other.send(channel, {"type": "marker"})
    assert await soon(owner, channel) == {"type": "marker"}


async def test_adding_a_channel_of_a_process_that_is_gone_names_the_channel(ours: Deployment) -> None:
    with pytest.raises(MembershipRefused, match=r"specific\.nobody!here"):
        await ours.process().group_add("room", "specific.nobody!here")


async def test_removing_a_channel_of_a_process_that_is_gone_does_nothing(ours: Deployment) -> None:
    await ours.process().group_discard("room", "specific.nobody!here")


async def test_a_normal_channel_can_be_a_member(ours: Deployment) -> None:
    sender, worker = ours.process(), ours.process()
    await sender.group_add("room", "work")
    await sender.group_add("room", "work-2")
    channel = await worker.new_channel()
    await worker.group_add("room", channel)
    await sender.group_send("room", {"type": "job"})
    assert await soon(worker, "work") == {"type": "job"}
    assert await soon(worker, "work-2") == {"type": "job"}
    assert await soon(worker, channel) == {"type": "job"}
    await worker.group_discard("room", "work")
    await sender.group_send("room", {"type": "second"})
    assert await soon(worker, "work-2") == {"type": "second"}
    assert await nothing(worker, "work")


async def test_several_senders_and_workers_share_several_queues_and_each_message_is_taken_once(
    ours: Deployment,
) -> None:
    queues, per_sender = [f"work-{number}" for number in range(6)], 20
    senders = [ours.process(capacity=1000) for _ in range(3)]
    workers = [ours.process(capacity=1000) for _ in range(3)]
    got: list[tuple[str, int, int]] = []

    async def send(index: int) -> None:
        for number in range(per_sender):
            for queue in queues:
                await senders[index].send(queue, {"type": "job", "sender": index, "n": number})

    async def work(worker: Any, queue: str) -> None:
        while True:
            job = await worker.receive(queue)
            got.append((queue, job["sender"], job["n"]))

    working = [asyncio.create_task(work(worker, queue)) for worker in workers for queue in queues]
    await asyncio.gather(*(send(index) for index in range(len(senders))))
    expected = sorted(itertools.product(queues, range(len(senders)), range(per_sender)))
    async with asyncio.timeout(30):
        while len(got) < len(expected):
            await asyncio.sleep(0.01)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    assert sorted(got) == expected
    assert await nothing(workers[0], queues[0])


async def test_two_workers_share_a_queue_and_lose_nothing(ours: Deployment) -> None:
    sender, first, second = ours.process(), ours.process(), ours.process()
    got: list[int] = []

    async def work(layer: Any) -> None:
        while len(got) < 100:
            got.append((await layer.receive("work"))["n"])

    workers = [asyncio.create_task(work(layer)) for layer in (first, second)]
    for number in range(100):
        await sender.send("work", {"type": "job", "n": number})
    async with asyncio.timeout(SOON):
        while len(got) < 100:
            await asyncio.sleep(0.01)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert sorted(got) == list(range(100))


async def test_nothing_sent_after_group_add_is_missed_by_anyone(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    for number in range(20):
        channel = await here.new_channel()
        await here.group_add(f"room-{number}", channel)
        await there.group_send(f"room-{number}", {"type": "first"})
        assert await soon(here, channel) == {"type": "first"}


async def test_who_joins_gets_nothing_that_was_sent_before(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    early = await here.new_channel()
    await here.group_add("room", early)
    await there.group_send("room", {"type": "before"})
    late_here, late_there = await here.new_channel(), await there.new_channel()
    assert await soon(here, early) == {"type": "before"}
    await here.group_add("room", late_here)
    await there.group_add("room", late_there)
    await there.group_send("room", {"type": "after"})
    assert await soon(here, late_here) == {"type": "after"}
    assert await soon(there, late_there) == {"type": "after"}


async def test_cancelling_receive_loses_nothing_and_keeps_the_order(ours: Deployment) -> None:
    sender, receiver = ours.process(), ours.process(capacity=10_000)
    channel = await receiver.new_channel()
    await receiver.group_add("room", channel)
    total, got = 500, []

    async def send() -> None:
        for number in range(total):
            await sender.group_send("room", {"type": "count", "n": number})

    sending = asyncio.create_task(send())
    attempts = itertools.count()
    async with asyncio.timeout(30):
        while len(got) < total:
            # Cancelled before it starts, after each of its first steps, while it waits, and when it has a message.
            attempt = next(attempts)
            task = asyncio.create_task(receiver.receive(channel))
            for _ in range(attempt % 5):
                await asyncio.sleep(0)
            if attempt % 3:
                await asyncio.wait([task], timeout=0.002)
            if task.cancel():
                await asyncio.wait([task])
            if not task.cancelled():
                got.append(task.result()["n"])
    await sending
    assert got == list(range(total))


async def test_cancelling_a_worker_loses_nothing(ours: Deployment) -> None:
    sender, worker = ours.process(), ours.process()
    total, got = 200, []

    async def send() -> None:
        for number in range(total):
            await sender.send("work", {"type": "job", "n": number})
            while len(got) < number - 50:
                await asyncio.sleep(0.001)

    sending = asyncio.create_task(send())
    attempts = itertools.count()
    async with asyncio.timeout(30):
        while len(got) < total:
            task = asyncio.create_task(worker.receive("work"))
            await asyncio.wait([task], timeout=0.0005 * (next(attempts) % 7))
            if task.cancel():
                await asyncio.wait([task])
            if not task.cancelled():
                got.append(task.result()["n"])
    await sending
    assert sorted(got) == list(range(total))


async def test_workers_that_are_cancelled_together_leave_the_order_as_it_was(ours: Deployment) -> None:
    sender, worker = ours.process(), ours.process()
    for turns in range(12):
        for number in range(4):
            await sender.send("work", {"type": "job", "n": number})
        tasks = [asyncio.create_task(worker.receive("work")) for _ in range(3)]
        # Before they are under way, when they have asked, when the first has its answer.
        for _ in range(turns):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        got = [task.result()["n"] for task in tasks if not task.cancelled()]
        while len(got) < 4:
            got.append((await soon(worker, "work"))["n"])
        assert got == [0, 1, 2, 3]


async def test_a_forgotten_channel_leaves_its_groups(ours: Deployment) -> None:
    layer = ours.process()
    channel, other = await layer.new_channel(), await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_add("room", other)
    await layer.forget(channel)
    await layer.group_send("room", {"type": "hello"})
    assert await soon(layer, other) == {"type": "hello"}
    assert await nothing(layer, channel)


async def test_flush_reaches_all_processes(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    channel = await there.new_channel()
    await there.group_add("room", channel)
    await there.send(channel, {"type": "unread"})
    await here.flush()
    async with asyncio.timeout(SOON):
        while not await nothing(there, channel):
            pass
    await here.group_send("room", {"type": "to nobody"})
    assert await nothing(there, channel)
    await there.group_add("room", channel)
    await here.group_send("room", {"type": "again"})
    assert await soon(there, channel) == {"type": "again"}


async def test_a_channel_of_another_process_cannot_be_received(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    with pytest.raises(AssertionError, match="Wrong client prefix"):
        await here.receive(await there.new_channel())


async def test_a_message_over_the_bound_is_refused_with_its_size(servers: Servers) -> None:
    async with deployed("one shard", servers, max_message_size_bytes=1000) as deployment:
        layer = deployment.process()
        channel = await layer.new_channel()
        with pytest.raises(MessageTooLarge, match=r"bound of 1000 bytes.*max_message_size_bytes"):
            await layer.send(channel, {"type": "x" * 1000})
        with pytest.raises(MessageTooLarge):
            await layer.group_send("room", {"type": "x" * 1000})


async def test_messages_of_ten_megabytes_pass(ours: Deployment) -> None:
    here, there = ours.process(), ours.process()
    channel = await there.new_channel()
    text = "x" * (10 * 1024 * 1024 - 100)
    await here.send(channel, {"type": text})
    assert (await soon(there, channel))["type"] == text


@pytest.mark.parametrize("backend", OURS)
async def test_a_full_mailbox_of_another_process_refuses_senders_and_recovers(backend: str, servers: Servers) -> None:
    async with deployed(backend, servers, capacity=5) as deployment:
        owner, sender = deployment.process(), deployment.process()
        channel = await owner.new_channel()

        async def fill() -> None:
            for _ in range(1000):
                await sender.send(channel, {"type": "fill"})
                await asyncio.sleep(0.001)

        with pytest.raises(ChannelFull):
            await fill()
        for _ in range(5):
            await soon(owner, channel)
        async with asyncio.timeout(SOON):
            while True:
                try:
                    await sender.send(channel, {"type": "again"})
                    break
                except ChannelFull:
                    await asyncio.sleep(0.01)
        assert (await soon(owner, channel))["type"] == "again"


async def test_a_full_member_of_a_group_makes_nobody_fail(servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "realtime_gateway.layer")
    async with deployed("one shard", servers, capacity=2) as deployment:
        layer = deployment.process()
        slow, quick = await layer.new_channel(), await layer.new_channel()
        await layer.group_add("room", slow)
        await layer.group_add("room", quick)
        for number in range(5):
            await layer.group_send("room", {"type": "count", "n": number})
            assert (await soon(layer, quick))["n"] == number
        assert [(await soon(layer, slow))["n"] for _ in range(2)] == [0, 1]
        assert "1 of 2 channels over capacity in group room" in caplog.text


async def test_capacity_by_glob_and_pattern_goes_by_the_first_match(servers: Servers) -> None:
    capacities = {"http.response!*": 2, re.compile(r"^work-\d$"): 1, "work-*": 3}
    async with deployed("three shards", servers, capacity=5, channel_capacity=capacities) as deployment:
        layer = deployment.process()
        for channel, room in (("work-1", 1), ("work-x", 3), ("other", 5)):
            for _ in range(room):
                await layer.send(channel, {"type": "fill"})
            with pytest.raises(ChannelFull):
                await layer.send(channel, {"type": "too much"})


async def test_two_prefixes_on_one_redis_do_not_meet(servers: Servers) -> None:
    async with (
        deployed("one shard", servers, prefix="a") as first,
        deployed("one shard", servers, prefix="b") as second,
    ):
        one, two = first.process(), second.process()
        channel_one, channel_two = await one.new_channel(), await two.new_channel()
        await one.group_add("room", channel_one)
        await two.group_add("room", channel_two)
        await one.group_send("room", {"type": "to one"})
        await two.group_send("room", {"type": "to two"})
        await one.send("work", {"type": "for one"})
        assert (await soon(one, channel_one))["type"] == "to one"
        assert (await soon(two, channel_two))["type"] == "to two"
        await two.flush()
        assert (await soon(one, "work"))["type"] == "for one"


async def test_group_send_works_while_a_thousand_members_join_and_leave(ours: Deployment) -> None:
    layer, sender = ours.process(capacity=10_000), ours.process()
    steady = await layer.new_channel()
    await layer.group_add("room", steady)
    done = asyncio.Event()
    sent = 0

    async def send() -> None:
        nonlocal sent
        while not done.is_set():
            await sender.group_send("room", {"type": "count", "n": sent})
            sent += 1

    async def come_and_go() -> None:
        channel = await layer.new_channel()
        await layer.group_add("room", channel)
        await layer.group_add(channel.partition("!")[2], channel)
        await layer.group_discard("room", channel)
        await layer.forget(channel)

    sending = asyncio.create_task(send())
    await asyncio.gather(*(come_and_go() for _ in range(1000)))
    done.set()
    await sending
    assert [(await soon(layer, steady))["n"] for _ in range(sent)] == list(range(sent))
