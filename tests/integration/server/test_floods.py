"""A client that sends without end: the memory of the process stays where it was, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from tests.support.frames import RawClient, client_frame
from tests.support.serve_process import ServeProcess
from websockets.asyncio.client import connect

MIB = 1024 * 1024
FLOOD_BYTES = 300 * MIB
MAY_RISE_BYTES = 2 * MIB
PIECE_BYTES = 64 * 1024
# One client's ordinary messages that are parsed in a turn (lean_protocol), and as many that were there before.
MOST_IN_A_TURN = 2 * 256
ECHOES = 50
PATIENCE_SECONDS = 30.0


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


async def highest_rise(server: ServeProcess, before: int, what: str) -> int:
    """Look at the memory while a neighbour is served a few times; print how long it waits."""
    highest, waited = before, []
    async with connect(f"{server.websocket_url}/echo", open_timeout=PATIENCE_SECONDS) as neighbour:
        for number in range(ECHOES):
            sent_at = time.perf_counter()
            await neighbour.send(str(number))
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await neighbour.recv() == str(number)
            waited.append(time.perf_counter() - sent_at)
            highest = max(highest, server.resident_bytes())
    median, longest = statistics.median(waited) * 1000, max(waited) * 1000
    sys.stdout.write(f"{what}: a neighbour's echo takes {median:.1f} ms, at most {longest:.0f} ms\n")
    return highest - before


def pieces(frame: bytes) -> bytes:
    """So many of a small frame that to send them is cheap."""
    return frame * (PIECE_BYTES // len(frame))


# What never ends must meet a bound: the application's queue, the client's own unread answers, or a limit.
FLOODS = {
    "large messages at a busy consumer": ("/busy?until=/nowhere", client_frame(0x82, b"x" * 100_000)),
    "messages of one byte at a busy consumer": ("/busy?until=/nowhere", pieces(client_frame(0x82, b"x"))),
    "empty messages at a busy consumer": ("/busy?until=/nowhere", pieces(client_frame(0x81))),
    "messages of one byte whose echoes nobody reads": ("/echo", pieces(client_frame(0x82, b"x"))),
    "large messages whose echoes nobody reads": ("/echo", client_frame(0x82, b"x" * 100_000)),
    "pings whose pongs nobody reads": ("/echo", pieces(client_frame(0x89, b"x" * 125))),
    "pongs that nobody asked for": ("/echo", pieces(client_frame(0x8A))),
    "fragments of one byte without an end": ("/echo", pieces(client_frame(0x00, b"x"))),
    "empty fragments without an end": ("/echo", pieces(client_frame(0x00))),
}
LIMITS = {"fragments of one byte without an end": "websocket.maxMessageSize"}
BEGINS = {name: client_frame(0x02, b"x") for name in FLOODS if "fragments" in name}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_takes_no_memory_and_leaves_the_others_alone(server: ServeProcess, flood: str):
    path, piece = FLOODS[flood]
    async with connect(f"{server.websocket_url}/echo") as warm:
        for _ in range(20):
            await warm.send("x" * 100_000)
            await warm.recv()
    with RawClient(server.port, path) as client:
        client.send(BEGINS.get(flood, b""))
        before = server.resident_bytes()
        with flooding(client.socket, piece):
            rise = await highest_rise(server, before, flood)
            if flood in LIMITS:
                server.wait_for_output(f"Limit {LIMITS[flood]} met by")
    assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"


def test_what_one_client_sends_at_once_comes_to_its_application_over_several_turns_of_the_loop(server: ServeProcess):
    with RawClient(server.port, "/turns") as client:
        client.send(client_frame(0x82, b"x") * 5000, client_frame(0x81, b"how many?"))
        _, most = client.frame()
    assert 0 < int(most) <= MOST_IN_A_TURN


async def test_what_a_client_does_not_read_takes_no_memory(server: ServeProcess):
    with RawClient(server.port, f"/flood?count={FLOOD_BYTES // 65536}"):
        before = server.resident_bytes()
        rise = await highest_rise(server, before, "300 MB towards a client that does not read")
    assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"
