"""A server that drains sends two thousand clients away; each comes back at once, to another one."""

from __future__ import annotations

import asyncio
import resource
import signal
import time

import pytest
from tests.support import figures
from tests.support.frames import client_frame
from tests.support.serve_process import ServeProcess

CLIENTS = 2000
DRAIN_SECONDS = 20
AT_ONCE = 50
PATIENCE_SECONDS = 120.0
# What the server does: it closes evenly, over nearly all of its time.
LEAST_SECONDS = DRAIN_SECONDS * 0.8
MOST_CLOSED_IN_A_SECOND = 2 * CLIENTS / DRAIN_SECONDS
# How soon they are back is also up to two servers and two thousand clients on a few processors.
MOST_BACK_IN_A_SECOND = CLIENTS / 4
REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# What this process and the servers need beside the clients.
SPARE_FILES = 200

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def files() -> None:
    allowed, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    if highest < CLIENTS + SPARE_FILES:
        pytest.skip(f"{highest} files may be open here, which is too few for {CLIENTS} clients")
    if allowed < CLIENTS + SPARE_FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))


async def open_on(server: ServeProcess) -> Streams:
    """Connect and shake hands."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101"), head
    return reader, writer


async def sent_away(streams: Streams) -> int:
    """Wait for the close frame and answer it; return its code."""
    reader, writer = streams
    opcode, size = await reader.readexactly(2)
    payload = await reader.readexactly(size)
    assert opcode == 0x88, opcode
    writer.write(client_frame(0x88, payload[:2]))
    writer.close()
    return int.from_bytes(payload[:2], "big")


def most_in_a_second(moments: list[float]) -> int:
    """Return how many of the moments lie in the fullest second."""
    ordered, first, most = sorted(moments), 0, 0
    for last in range(len(ordered)):
        while ordered[last] - ordered[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.timeout(300)
async def test_two_thousand_clients_come_back_spread_over_the_drain(applications):
    options = ("--drain-accept-seconds", "0", "--drain-seconds", str(DRAIN_SECONDS))
    with (
        ServeProcess("conversations:application", *options, directory=applications) as ending,
        ServeProcess("conversations:application", directory=applications) as staying,
    ):
        turn = asyncio.Semaphore(AT_ONCE)
        away_at: list[float] = []
        back_at: list[float] = []

        async def connect(server: ServeProcess) -> Streams:
            async with turn:
                return await open_on(server)

        async def come_back(streams: Streams) -> Streams:
            assert await sent_away(streams) == 1012
            away_at.append(time.monotonic())
            again = await open_on(staying)
            back_at.append(time.monotonic())
            return again

        async with asyncio.timeout(PATIENCE_SECONDS):
            clients = await asyncio.gather(*(connect(ending) for _ in range(CLIENTS)))
        assert ending.process is not None
        ending.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            back = await asyncio.gather(*(come_back(streams) for streams in clients))
        peak, most_away = most_in_a_second(back_at), most_in_a_second(away_at)
        figures.show(
            f"{CLIENTS} clients came back within {max(back_at) - min(back_at):.1f} s of a drain of {DRAIN_SECONDS} s:"
            f" at most {peak} in a second, {CLIENTS / DRAIN_SECONDS:.0f} on average; {most_away} sent away at most"
        )
        assert len(back_at) == CLIENTS
        assert max(away_at) - min(away_at) >= LEAST_SECONDS
        assert most_away <= MOST_CLOSED_IN_A_SECOND
        assert peak <= MOST_BACK_IN_A_SECOND
        for reader, writer in back:  # each of them is served there
            writer.write(client_frame(0x81, b"here"))
            assert await reader.readexactly(6) == b"\x81\x04here"
            writer.close()
