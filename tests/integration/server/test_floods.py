"""A client that sends without end: the memory of the process stays where it was, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect

MIB = 1024 * 1024
FLOOD_BYTES = 300 * MIB
MAY_RISE_BYTES = 2 * MIB


@contextlib.contextmanager
def flooding(client: socket.socket, piece: bytes) -> Iterator[threading.Thread]:
    """Send the piece again and again, up to FLOOD_BYTES, for as long as the server takes it."""

    def pour() -> None:
        with contextlib.suppress(OSError):
            for _ in range(FLOOD_BYTES // len(piece)):
                client.sendall(piece)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield thread
    finally:
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)
        thread.join()


async def highest_rise(server: ServeProcess, before: int) -> int:
    """Look at the memory while a neighbour is served a hundred times."""
    highest = before
    async with connect(f"{server.websocket_url}/echo") as neighbour:
        for number in range(100):
            await neighbour.send(str(number))
            assert await neighbour.recv() == str(number)
            highest = max(highest, server.resident_bytes())
            await asyncio.sleep(0.01)
    return highest - before


FLOODS = {
    "large messages at a busy consumer": ("/busy?until=/nowhere", client_frame(0x82, b"x" * 100_000)),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_takes_no_memory_and_leaves_the_others_alone(server: ServeProcess, flood: str):
    path, piece = FLOODS[flood]
    async with connect(f"{server.websocket_url}/echo") as warm:
        for _ in range(20):
            await warm.send("x" * 100_000)
            await warm.recv()
    with RawClient(server.port, path) as client:
        before = server.resident_bytes()
        with flooding(client.socket, piece):
            rise = await highest_rise(server, before)
    assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"
