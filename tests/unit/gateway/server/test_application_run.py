import asyncio
import logging

import pytest

from realtime_gateway.server.application_run import ApplicationRun, InputQueue
from realtime_gateway.server.inbox import Inbox


class Peer:
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def handle_exception(self, exception):
        self.told.append(type(exception).__name__)

    def application_returned(self):
        self.told.append("returned")


async def run(application, *, leave_first=False, close_timeout_seconds=10.0) -> tuple[Peer, list]:
    peer, ended = Peer(), []
    made = ApplicationRun(asyncio.get_running_loop(), peer, close_timeout_seconds, ended.append)
    made.start(application, {}, None, None)
    if leave_first:
        made.left()
    await asyncio.wait([made.task], timeout=5)
    await asyncio.sleep(0)
    assert ended == [made]
    return peer, ended


async def test_a_client_learns_that_the_application_failed(caplog):
    async def failing(scope, receive, send):
        raise RuntimeError("broken")

    with caplog.at_level(logging.ERROR):
        peer, _ = await run(failing)
    assert peer.told == ["RuntimeError"]
    assert "broken" in caplog.text


async def test_a_callable_that_raises_at_once_is_handled_the_same():
    def failing(scope, receive, send):
        raise RuntimeError("broken")

    assert (await run(failing))[0].told == ["RuntimeError"]


async def test_a_client_learns_that_the_application_returned():
    async def returning(scope, receive, send):
        pass

    assert (await run(returning))[0].told == ["returned"]


async def test_a_client_that_has_left_is_told_nothing():
    async def returning(scope, receive, send):
        await asyncio.sleep(0)

    assert (await run(returning, leave_first=True))[0].told == []


async def test_an_application_that_goes_on_after_its_client_is_cancelled(caplog):
    async def stubborn(scope, receive, send):
        await asyncio.sleep(3600)

    await run(stubborn, leave_first=True, close_timeout_seconds=0.01)
    assert "did not end within 0.01 s" in caplog.text


class Client:
    """Notes when it is read from no more, and when again."""

    def __init__(self, signals: list[str]) -> None:
        self.signals = signals

    def pause_reading(self) -> None:
        self.signals.append("pause")

    def resume_reading(self) -> None:
        self.signals.append("resume")


def queue(signals: list[str] | None = None) -> InputQueue:
    client = Client([] if signals is None else signals)
    return InputQueue(asyncio.get_running_loop(), Inbox(3000, 1000), client)


async def test_a_reader_waits_for_the_next_message():
    messages = queue()
    reader = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    messages.put_nowait({"type": "one"})
    assert await reader == {"type": "one"}


async def test_a_cancelled_reader_loses_nothing():
    messages = queue()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(messages.get(), 0.001)
    reader = asyncio.create_task(messages.get())
    await asyncio.sleep(0)
    messages.put_nowait({"number": 1})
    reader.cancel()  # after it was woken
    messages.put_nowait({"number": 2})
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert [(await messages.get())["number"] for _ in range(2)] == [1, 2]


async def test_reading_is_paused_and_resumed_by_weight():
    signals = []
    messages = queue(signals)
    for _ in range(4):
        messages.put_nowait({}, 600)
    assert signals == ["pause"]
    assert messages.paused
    for _ in range(4):
        await messages.get()
    assert signals == ["pause", "resume"]
