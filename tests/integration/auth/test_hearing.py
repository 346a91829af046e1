"""What other processes say of users is heard, and where something may have been missed everybody is looked at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from tests.integration.auth.conftest import SECONDS, Sockets, ending, known_as
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.auth import hearing, revocation
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.notices import GROUP, Action, Notice, message_of, read_notices
from realtime_gateway.auth.revocation import arevoke, tell
from realtime_gateway.layer import RedisChannelLayer

UseLayer = Callable[..., RedisChannelLayer]


class Guest:
    """A user that is no row, and so is never looked at."""

    def __init__(self, pk: object) -> None:
        self.pk = pk


async def listening(layer: RedisChannelLayer) -> None:
    """Wait until the process is in the group of those who hear, and receives."""
    boxes = layer._binding.state.mailboxes

    def receives() -> bool:
        found = [boxes.get(channel) for channel in boxes if channel.startswith(hearing.PREFIX)]
        return any(box is not None and box.readers for box in found)

    await until(receives, SECONDS)


async def said_by(layer: RedisChannelLayer, *notices: Notice) -> None:
    """Say something as another process would."""
    await layer.group_send(GROUP, message_of([(0.0, notice) for notice in notices]))


def said_while_this_process_stands_still(redis: RedisProcess, notices: list[Notice]) -> None:
    """Each in a message of its own, from another thread, until all are acknowledged."""

    async def say() -> None:
        layer = RedisChannelLayer(hosts=[redis.url])
        for notice in notices:
            await said_by(layer, notice)
        await layer.close()

    thread = threading.Thread(target=lambda: asyncio.run(say()))
    thread.start()
    thread.join()


async def test_no_revocation_is_lost_while_a_handler_holds_up_the_loop(
    redis: RedisProcess, use_layer: UseLayer, sockets: Sockets
) -> None:
    layer = use_layer()
    opened = [await sockets.open(known_as(Identity(Guest(number)))) for number in range(300)]
    await listening(layer)
    said_while_this_process_stands_still(redis, [Notice(Action.END, (str(number),)) for number in range(300)])
    assert {await ending(socket) for socket in opened} == {(4401, "logged out")}


async def test_everybody_is_looked_at_when_more_is_said_than_could_wait(
    redis: RedisProcess, use_layer: UseLayer, sockets: Sockets, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearing, "CAPACITY", 3)
    layer = use_layer()
    user = await User.objects.acreate_user("ann")
    socket = await sockets.open(known_as(Identity(user)))
    await listening(layer)
    await until(lambda: looks == [1], SECONDS)  # the look at the start
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    said_while_this_process_stands_still(redis, [Notice(Action.REFRESH, ("0",))] * 10)
    assert await ending(socket) == (4401, "user no longer active")


async def test_everybody_is_looked_at_after_an_outage_of_redis(
    redis: RedisProcess, use_layer: UseLayer, sockets: Sockets, looks: list[int]
) -> None:
    layer = use_layer()
    user = await User.objects.acreate_user("ann")
    socket = await sockets.open(known_as(Identity(user)))
    await listening(layer)
    await until(lambda: looks == [1], SECONDS)  # the look at the start
    await asyncio.to_thread(redis.kill)
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    await asyncio.to_thread(redis.start)
    assert await ending(socket) == (4401, "user no longer active")


async def test_while_redis_is_away_a_revocation_holds_here_at_once_and_elsewhere_when_it_is_back(
    redis: RedisProcess,
    use_layer: UseLayer,
    other_process: RedisChannelLayer,
    sockets: Sockets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(revocation, "REVOKE_SECONDS", 0.5)
    layer = use_layer(send_timeout=1000)
    channel = await other_process.new_channel()
    await other_process.group_add(GROUP, channel)
    socket, neighbour = [await sockets.open(known_as(Identity(Guest(pk)))) for pk in ("ann", "bob")]
    await listening(layer)
    await asyncio.to_thread(redis.kill)
    await arevoke(Guest("ann"))  # returns, although the layer would wait for a quarter of an hour
    assert await ending(socket) == (4401, "logged out")
    await asyncio.to_thread(redis.start)
    async with asyncio.timeout(SECONDS):
        ((age_seconds, notice),) = read_notices(await other_process.receive(channel))
    assert (notice.action, notice.users) == (Action.END, ("ann",))
    assert age_seconds > 0
    assert neighbour.output_queue.empty()


async def test_what_could_not_be_told_goes_along_with_the_next_notice(
    redis: RedisProcess, use_layer: UseLayer, other_process: RedisChannelLayer
) -> None:
    use_layer(send_timeout=1000)
    channel = await other_process.new_channel()
    await other_process.group_add(GROUP, channel)
    await asyncio.to_thread(redis.kill)
    await tell([Notice(Action.END, ("ann",))], 0.2)
    await asyncio.to_thread(redis.start)
    await tell([Notice(Action.END, ("bob",))], SECONDS)
    heard: set[str] = set()
    async with asyncio.timeout(SECONDS):
        while heard != {"ann", "bob"}:
            heard |= {user for _, notice in read_notices(await other_process.receive(channel)) for user in notice.users}


async def test_notices_that_are_too_large_for_one_message_are_told_in_several_and_hold_up_none(
    use_layer: UseLayer, other_process: RedisChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    use_layer(max_message_size_bytes=4096)
    channel = await other_process.new_channel()
    await other_process.group_add(GROUP, channel)
    impossible = Notice(Action.END, ("x" * 5000,))
    many = [Notice(Action.END, tuple(f"{number}-{of}" for of in range(500))) for number in range(4)]
    await tell([many[0], impossible, *many[1:], Notice(Action.END, ("last",))], SECONDS)
    heard: list[str] = []
    async with asyncio.timeout(SECONDS):
        while heard[-1:] != ["last"]:
            heard += [user for _, one in read_notices(await other_process.receive(channel)) for user in one.users]
    assert heard == [user for one in many for user in one.users] + ["last"]
    assert [one.levelname for one in caplog.records if "are not told" in one.message] == ["ERROR"]


async def test_a_process_goes_on_hearing_after_a_membership_would_have_ended(
    use_layer: UseLayer, other_process: RedisChannelLayer, sockets: Sockets
) -> None:
    layer = use_layer(group_expiry=1)
    socket = await sockets.open(known_as(Identity(Guest("ann"))))
    await listening(layer)
    await asyncio.sleep(3)  # an expiry is a matter of time
    await said_by(other_process, Notice(Action.END, ("ann",)))
    assert await ending(socket) == (4401, "logged out")


async def test_who_has_come_since_a_notice_was_held_up_stays(
    use_layer: UseLayer, other_process: RedisChannelLayer, sockets: Sockets
) -> None:
    layer = use_layer()
    socket = await sockets.open(known_as(Identity(Guest("ann"))))
    await listening(layer)
    old: list[tuple[float, Any]] = [(3600.0, Notice(Action.END, ("ann",), reason="an hour ago"))]
    await other_process.group_send(GROUP, message_of(old))
    await said_by(other_process, Notice(Action.END, ("ann",), reason="now"))
    assert await ending(socket) == (4401, "now")
