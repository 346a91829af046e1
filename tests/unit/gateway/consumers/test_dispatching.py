"""What a consumer is fed: in order, from every source, with nothing taken that is not handled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any
from unittest import mock

import channels.consumer
import channels.utils
import pytest
from channels.exceptions import StopConsumer
from django.test import override_settings

from realtime_gateway.consumers import dispatching
from realtime_gateway.layer import RedisChannelLayer
from realtime_gateway.server.application_run import Attendee, InputQueue
from realtime_gateway.server.inbox import Inbox

Message = dict[str, Any]
Feed = Callable[[list[dispatching.Receive], dispatching.Dispatch], Awaitable[None]]


def message(number: int) -> Message:
    return {"type": "a", "number": number}


class Collector:
    """A consumer's dispatch that stops after so many messages."""

    def __init__(self, stop_after: int) -> None:
        self.numbers: list[int] = []
        self.stop_after = stop_after

    async def __call__(self, message: Message) -> None:
        self.numbers.append(message["number"])
        if len(self.numbers) == self.stop_after:
            raise StopConsumer


class AtAnyPace:
    """Is never read from too much."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def client() -> InputQueue:
    return InputQueue(asyncio.get_running_loop(), Inbox(1_000_000, 1000), AtAnyPace())


@pytest.fixture(params=[channels.utils.await_many_dispatch, dispatching.await_many_dispatch])
def feed(request: pytest.FixtureRequest) -> Feed:
    chosen: Feed = request.param
    return chosen


@pytest.fixture
def unpatched() -> Iterator[None]:
    dispatching.remove()
    yield
    assert dispatching.apply()


async def test_messages_of_one_source_keep_their_order(feed: Feed) -> None:
    queue, collector = client(), Collector(stop_after=50)
    for number in range(25):
        queue.put_nowait(message(number))
    running = asyncio.create_task(feed([queue.get], collector))  # type: ignore[arg-type]
    for number in range(25, 50):
        await asyncio.sleep(0)
        queue.put_nowait(message(number))
    with pytest.raises(StopConsumer):
        await running
    assert collector.numbers == list(range(50))


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_source_that_is_never_empty_does_not_starve_the_other(feed: Feed, wrapped: bool) -> None:
    busy, other, collector = client(), client(), Collector(stop_after=100)

    async def of_a_middleware() -> Message:
        return await other.get()

    for number in range(100):
        busy.put_nowait(message(number))
    other.put_nowait(message(1000))
    with pytest.raises(StopConsumer):
        await feed([busy.get, of_a_middleware if wrapped else other.get], collector)
    assert collector.numbers.index(1000) <= 2 * dispatching.IN_A_ROW_BESIDE_TASKS


async def test_other_tasks_have_turns_while_messages_wait(feed: Feed) -> None:
    queue, collector, turns = client(), Collector(stop_after=1000), 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    for number in range(1000):
        queue.put_nowait(message(number))
    counting = asyncio.create_task(count_turns())
    with pytest.raises(StopConsumer):
        await feed([queue.get], collector)
    counting.cancel()
    assert turns >= 1000 / dispatching.IN_A_ROW / 2


async def test_an_error_of_a_receive_ends_the_consumer(feed: Feed) -> None:
    async def broken() -> Message:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await feed([broken, client().get], Collector(stop_after=1))


async def test_whoever_is_cancelled_leaves_no_task_behind(feed: Feed) -> None:
    async def forever() -> Message:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    before = asyncio.all_tasks()
    running = asyncio.create_task(feed([forever, client().get], Collector(stop_after=1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert asyncio.all_tasks() == before


async def test_nothing_is_taken_from_a_client_before_it_is_handled() -> None:
    queue, handled, go_on = client(), asyncio.Event(), asyncio.Event()

    async def slow(message: Message) -> None:
        handled.set()
        await go_on.wait()

    for number in range(3):
        queue.put_nowait(message(number))
    running = asyncio.create_task(dispatching.await_many_dispatch([queue.get], slow))
    await handled.wait()
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await queue.get())["number"] == 1


async def test_a_message_that_came_ahead_is_noted_until_it_is_taken() -> None:
    queue, notes = client(), []

    async def wrapped() -> Message:
        return await queue.get()

    source, waker = dispatching.source_of(wrapped, notes.append), dispatching.Waker(asyncio.get_running_loop())
    source.attend(waker)
    queue.put_nowait(message(1))
    assert source.take() is None
    await waker
    assert notes == [1]
    assert source.take() == message(1)
    assert notes == [1, -1]
    assert source.end(waker) is None


async def test_a_receive_that_is_cancelled_leaves_the_consumer_waiting_for_what_comes() -> None:
    queue, collector = client(), Collector(stop_after=1)
    looked = asyncio.ensure_future(queue.get())  # as a middleware does that looks whether something came first
    await asyncio.sleep(0)
    looked.cancel()
    running = asyncio.create_task(dispatching.await_many_dispatch([queue.get], collector))
    for _ in range(3):
        await asyncio.sleep(0)
    queue.put_nowait(message(1))
    with pytest.raises(StopConsumer):
        await asyncio.wait_for(running, 10)


async def test_whoever_else_receives_from_a_client_does_not_keep_the_consumer_from_it() -> None:
    queue, collector = client(), Collector(stop_after=2)
    running = asyncio.create_task(dispatching.await_many_dispatch([queue.get], collector))
    await asyncio.sleep(0)
    looking = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    for number in range(3):
        queue.put_nowait(message(number))
    with pytest.raises(StopConsumer):
        await asyncio.wait_for(running, 10)
    assert sorted([*collector.numbers, (await asyncio.wait_for(looking, 10))["number"]]) == [0, 1, 2]


async def test_a_consumer_goes_on_after_another_that_its_handler_has_let_read_for_it() -> None:
    queue, got = client(), []

    async def inner(message: Message) -> None:
        got.append(("inner", message["number"]))
        raise StopConsumer

    async def outer(message: Message) -> None:
        got.append(("outer", message["number"]))
        if message["number"] == 0:
            with pytest.raises(StopConsumer):
                await dispatching.await_many_dispatch([queue.get], inner)
        if message["number"] == 3:
            raise StopConsumer

    running = asyncio.create_task(dispatching.await_many_dispatch([queue.get], outer))
    for number in range(4):
        queue.put_nowait(message(number))
        for _ in range(5):  # until it waits again
            await asyncio.sleep(0)
    with pytest.raises(StopConsumer):
        await asyncio.wait_for(running, 10)
    assert got == [("outer", 0), ("inner", 1), ("outer", 2), ("outer", 3)]


async def test_every_source_hears_of_the_end_though_one_of_them_fails_at_it() -> None:
    class Noted(InputQueue):
        ended = False

        def end(self, attendee: Attendee) -> None:
            super().end(attendee)
            self.ended = True

    async def fails_when_cancelled() -> Message:
        try:
            return await client().get()
        except asyncio.CancelledError:
            raise OSError("gone") from None

    queue = Noted(asyncio.get_running_loop(), Inbox(1_000_000, 1000), AtAnyPace())
    queue.put_nowait(message(1))
    running = asyncio.create_task(dispatching.await_many_dispatch([fails_when_cancelled, queue.get], Collector(3)))
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(OSError, match="gone"):
        await running
    assert queue.ended


def test_a_task_that_waits_on_a_loop_that_was_closed_is_woken_without_an_error() -> None:
    loop = asyncio.new_event_loop()
    waker = dispatching.Waker(loop)

    async def wait() -> None:
        await waker

    waiting = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    waker.wake()
    waker.wake_from_elsewhere()
    # As the end of the process would, without a word about it.
    waiting.get_coro().close()  # type: ignore[union-attr]
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


async def test_nobody_is_woken_any_more_once_a_consumer_has_ended() -> None:
    queue, other = client(), client()
    running = asyncio.create_task(dispatching.await_many_dispatch([queue.get, other.get], Collector(stop_after=1)))
    queue.put_nowait(message(1))
    with pytest.raises(StopConsumer):
        await asyncio.wait_for(running, 10)
    for source in (queue, other):
        source.put_nowait(message(2))
        assert (await source.get())["number"] == 2


async def test_a_receive_without_a_message_is_an_error(feed: Feed) -> None:
    async def nothing() -> Any:
        return None

    async def dispatch(message: Message) -> None:
        message["type"]

    with pytest.raises(TypeError):
        await asyncio.wait_for(feed([nothing, client().get], dispatch), 10)


class InFront:
    """Stands before a layer, and says everything itself that it has a method for."""

    def __init__(self, layer: RedisChannelLayer) -> None:
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.layer, name)

    async def receive(self, channel: str) -> Any:
        return await self.layer.receive(channel)


async def test_whoever_replaces_receive_is_asked_for_each_message(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = RedisChannelLayer()
    channel = f"specific.{layer.client_prefix}!a"
    assert type(dispatching.source_of(partial(InFront(layer).receive, channel))) is dispatching.Task

    async def patched(self: RedisChannelLayer, channel: str) -> Any:
        return {}

    monkeypatch.setattr(RedisChannelLayer, "receive", patched)
    assert type(dispatching.source_of(partial(layer.receive, channel))) is dispatching.Task


async def test_only_what_is_ours_is_looked_into() -> None:
    class Changed(RedisChannelLayer):
        async def receive(self, channel: str) -> Any:
            return await super().receive(channel)

    async def wrapped() -> Message:
        return await client().get()

    for layer, direct in ((RedisChannelLayer(), dispatching.Direct), (Changed(), dispatching.Task)):
        channel = f"specific.{layer.client_prefix}!a"
        assert type(dispatching.source_of(partial(layer.receive, channel))) is direct
    queue = client()
    assert dispatching.source_of(queue.get) is queue
    assert type(dispatching.source_of(wrapped)) is dispatching.Task


@pytest.mark.usefixtures("unpatched")
def test_the_setting_leaves_channels_as_it_is() -> None:
    with override_settings(REALTIME_GATEWAY={"DIRECT_DISPATCH": False}):
        dispatching.apply_as_set()
    assert dispatching.chosen() is channels.utils.await_many_dispatch, "which handlers' contexts go by as well"
    assert channels.consumer.await_many_dispatch is channels.utils.await_many_dispatch
    dispatching.apply_as_set()
    assert channels.consumer.await_many_dispatch is dispatching.await_many_dispatch


@pytest.mark.usefixtures("unpatched")
def test_a_version_that_is_not_known_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(dispatching, "KNOWN_SOURCES", frozenset()):
        assert not dispatching.apply()
    assert channels.consumer.await_many_dispatch is channels.utils.await_many_dispatch
    assert "DIRECT_DISPATCH" in caplog.text
