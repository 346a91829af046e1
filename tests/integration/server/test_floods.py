"""A client that sends without end: the memory of the process stays where it was, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import socket
import statistics
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from tests.support import figures
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
# In each of so many echoes the loop could have taken something: 2 KiB of the smallest frames, of the 64 KiB that are
# read from a socket at a time.
STILL_ECHOES = 300
PATIENCE_SECONDS = 30.0


class Flood:
    """A client that sends a piece again and again for as long as the server takes it, in a thread of its own.

    Args:
        client: its socket.
        piece: what it sends each time.
        size_bytes: of all of it.
        reads: whether it takes what the server answers.
    """

    def __init__(self, client: socket.socket, piece: bytes, size_bytes: int, *, reads: bool = False) -> None:
        self._client = client
        self.sent_bytes = 0
        self.size_bytes = size_bytes
        self._threads = [threading.Thread(target=self._pour, args=(piece,))]
        if reads:
            self._threads.append(threading.Thread(target=self._drink))

    def _pour(self, piece: bytes) -> None:
        with contextlib.suppress(OSError):
            while self.sent_bytes < self.size_bytes:
                self._client.sendall(piece)
                self.sent_bytes += len(piece)

    def _drink(self) -> None:
        with contextlib.suppress(OSError):
            while self._client.recv(1 << 20):
                pass

    def over(self) -> bool:
        """Whether it has been sent whole, or the server has ended it."""
        return not self._threads[0].is_alive()

    def taken(self) -> tuple[int, int] | None:
        """What moves when the server takes something; None where nothing waits for it."""
        unsent = int.from_bytes(fcntl.ioctl(self._client, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return (self.sent_bytes, unsent) if unsent else None

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()


class Standstill:
    """Whether a number has not moved while the server went on, over many of its answers to somebody else.

    A machine that stands still as a whole does not answer either.

    Args:
        moved: the number; None where the server has nothing to take, so that it means nothing.
    """

    def __init__(self, moved: Callable[[], object]) -> None:
        self._moved = moved
        self._seen: object = None
        self._answers = 0

    def reached(self) -> bool:
        """Look once more, after one more answer."""
        before, self._seen = self._seen, self._moved()
        self._answers = self._answers + 1 if before == self._seen is not None else 0
        return self._answers >= STILL_ECHOES


async def highest_rise(server: ServeProcess, before: int, what: str, ended: Callable[[], bool] = lambda: True) -> int:
    """Look at the memory while a neighbour is served, until it has ended; show how long the neighbour waits.

    Args:
        server: whose memory it is.
        before: what it was.
        what: goes on meanwhile.
        ended: whether that is over; by default after ECHOES, since it only stands there.
    """
    highest, waited = before, []
    async with connect(f"{server.websocket_url}/echo", open_timeout=PATIENCE_SECONDS) as neighbour:
        for number in itertools.count():
            sent_at = time.perf_counter()
            await neighbour.send(str(number))
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await neighbour.recv() == str(number)
            waited.append(time.perf_counter() - sent_at)
            highest = max(highest, server.resident_bytes())
            if ended() and number >= ECHOES:
                break
    median, longest = statistics.median(waited) * 1000, max(waited) * 1000
    figures.show(f"{what}: a neighbour's echo takes {median:.1f} ms, at most {longest:.0f} ms")
    return highest - before


def pieces(frame: bytes) -> bytes:
    """So many of a small frame that to send them is cheap."""
    return frame * (PIECE_BYTES // len(frame))


@dataclass(frozen=True)
class Kind:
    """One way to flood.

    Attributes:
        path: whom.
        piece: with what, again and again.
        size_bytes: how much of it; small frames take the server so long that 300 MB of them would take minutes.
        begins: what comes before it.
        reads: whether its client takes the answers; else it must have to wait, where ``waits``.
        limit: what ends it, in the log.
    """

    path: str
    piece: bytes
    size_bytes: int = FLOOD_BYTES
    begins: bytes = b""
    reads: bool = False
    waits: bool = False
    limit: str = ""


LARGE, SMALL = client_frame(0x82, b"x" * 100_000), pieces(client_frame(0x82, b"x"))
PINGS = pieces(client_frame(0x89, b"x" * 125))
BEGINS = client_frame(0x02, b"x")
# What never ends must meet a bound: the application's queue, the client's own unread answers, or a limit; what its
# client reads, or is nothing to anybody, is taken as fast as it can be.
FLOODS = {
    "large messages at a busy consumer": Kind("/busy?until=/nowhere", LARGE, waits=True),
    "messages of one byte at a busy consumer": Kind("/busy?until=/nowhere", SMALL, waits=True),
    "empty messages at a busy consumer": Kind("/busy?until=/nowhere", pieces(client_frame(0x81)), waits=True),
    "large messages whose echoes nobody reads": Kind("/echo", LARGE, waits=True),
    "messages of one byte whose echoes nobody reads": Kind("/echo", SMALL, waits=True),
    "large messages whose echoes are read": Kind("/echo", LARGE, reads=True),
    "messages of one byte whose echoes are read": Kind("/echo", SMALL, 4 * MAY_RISE_BYTES, reads=True),
    "pings whose pongs nobody reads": Kind("/echo", PINGS, 30 * MIB),
    "pings whose pongs are read": Kind("/echo", PINGS, 30 * MIB, reads=True),
    "pongs that nobody asked for": Kind("/echo", pieces(client_frame(0x8A)), 4 * MAY_RISE_BYTES),
    "fragments of one byte without an end": Kind(
        "/echo", pieces(client_frame(0x00, b"x")), begins=BEGINS, limit="websocket.maxMessageSize"
    ),
    "empty fragments without an end": Kind("/echo", pieces(client_frame(0x00)), 4 * MAY_RISE_BYTES, BEGINS),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_takes_no_memory_and_leaves_the_others_alone(server: ServeProcess, name: str):
    kind = FLOODS[name]
    async with connect(f"{server.websocket_url}/echo") as warm:
        for _ in range(20):
            await warm.send("x" * 100_000)
            await warm.recv()
    with RawClient(server.port, kind.path) as client:
        client.send(kind.begins)
        before = server.resident_bytes()
        with Flood(client.socket, kind.piece, kind.size_bytes, reads=kind.reads) as flood:
            ended = Standstill(flood.taken).reached if kind.waits else flood.over
            rise = await highest_rise(server, before, name, ended)
            taken = flood.sent_bytes
            if kind.limit:
                server.wait_for_output(f"Limit {kind.limit} met by")
    figures.show(f"{name}: {taken / MIB:.1f} of {kind.size_bytes / MIB:.0f} MiB taken, {rise / MIB:+.1f} MiB of memory")
    assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"
    if kind.waits:
        assert taken < kind.size_bytes / 2, "nothing makes it wait"
    elif not kind.limit:
        # All of it has come; what comes after a limit is dropped for as long as the client may take to close.
        assert taken >= kind.size_bytes, "the server has ended it"


def test_what_one_client_sends_at_once_comes_to_its_application_over_several_turns_of_the_loop(server: ServeProcess):
    with RawClient(server.port, "/turns") as client:
        client.send(client_frame(0x82, b"x") * 5000, client_frame(0x81, b"how many?"))
        _, most = client.frame()
    assert 0 < int(most) <= MOST_IN_A_TURN


async def test_what_a_client_does_not_read_takes_no_memory(server: ServeProcess):
    pieces_of = FLOOD_BYTES // 65536
    with RawClient(server.port, f"/flood?count={pieces_of}"):
        before = server.resident_bytes()
        ended = Standstill(lambda: server.output.count("\nsent ")).reached
        rise = await highest_rise(server, before, "300 MiB towards a client that does not read", ended)
        sent = server.output.count("\nsent ")
    figures.show(
        f"300 MiB towards a client that does not read: {sent / 16:.1f} MiB sent, {rise / MIB:+.1f} MiB of memory"
    )
    assert rise <= MAY_RISE_BYTES, f"{rise / MIB:.1f} MiB"
    assert 0 < sent < pieces_of / 2, "nothing makes it wait"
