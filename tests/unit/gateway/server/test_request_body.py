from __future__ import annotations

import asyncio
import tracemalloc

from realtime_gateway.server.request_body import StreamedBody


def streamed(calls: list[str], high_bytes: int = 100) -> StreamedBody:
    loop = asyncio.get_running_loop()
    return StreamedBody(loop, high_bytes, lambda: calls.append("pause"), lambda: calls.append("resume"))


async def test_pieces_are_handed_on_as_they_arrive_and_the_last_one_says_so():
    body = streamed([])
    waiting = asyncio.create_task(body.get())
    await asyncio.sleep(0)
    body.feed(b"ab")
    assert await waiting == {"type": "http.request", "body": b"ab", "more_body": True}
    body.feed(b"c")
    body.end()
    assert await body.get() == {"type": "http.request", "body": b"c", "more_body": False}


async def test_an_empty_body_is_one_empty_piece_and_then_the_client_leaves():
    body = streamed([])
    body.end()
    assert await body.get() == {"type": "http.request", "body": b"", "more_body": False}
    waiting = asyncio.create_task(body.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    body.put_nowait({"type": "http.disconnect"})
    assert await waiting == {"type": "http.disconnect"}


async def test_a_client_that_leaves_amid_its_body_is_heard_after_what_it_sent():
    body = streamed([])
    body.feed(b"half")
    body.put_nowait({"type": "http.disconnect"})
    assert (await body.get())["body"] == b"half"
    assert await body.get() == {"type": "http.disconnect"}


async def test_reading_stops_while_the_application_does_not_take_what_waits():
    calls: list[str] = []
    body = streamed(calls, high_bytes=10)
    body.feed(b"123456789")
    assert calls == []
    body.feed(b"0")
    assert calls == ["pause"]
    await body.get()
    assert calls == ["pause", "resume"]


async def test_a_cancelled_reader_loses_nothing():
    body = streamed([])
    waiting = asyncio.create_task(body.get())
    await asyncio.sleep(0)
    body.feed(b"kept")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await body.get())["body"] == b"kept"


async def test_pieces_that_bring_little_or_nothing_take_no_more_memory_than_they_bring():
    body, count = streamed([], high_bytes=10**6), 10_000
    tracemalloc.start()
    for number in range(count):
        body.feed(b"%02d" % (number % 100))
        body.feed(b"")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 3 * count
    assert len((await body.get())["body"]) == 2 * count
