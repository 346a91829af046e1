"""Requests that break rules, at a server of its own over loopback: python -m tests.fuzz.requests [--loop L] [seed ...].

After each batch the server lives and serves a neighbour, has nothing in its log but limits that were met, and holds no
connection; every answer is one, and of what must be refused nothing reaches the application.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.fuzz.answers import read_answers
from tests.fuzz.odd_requests import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, Attempt, End, attempt, is_late
from tests.support.conditions import wait_until
from tests.support.serve_process import ServeProcess

APPLICATIONS = Path(__file__).parents[1] / "integration" / "server" / "applications"
LOOPS = ("uvloop", "asyncio")
BATCH = 100
PATIENCE_SECONDS = 60.0
ECHOES = 2
ANSWERS = {101, 200, 400, 405, 408, 413, 426, 431, 505}
ALARMING = ("Traceback", "Unhandled", " ERROR ", " CRITICAL ", "smuggled")
OPTIONS = {
    "--max-head-bytes": HEAD_LIMIT_BYTES,
    "--max-body-bytes": BODY_LIMIT_BYTES,
    "--ping-interval": 0,
    "-v": 0,
}


def attentive(loop: str) -> ServeProcess:
    """Return a server, not yet started, with small limits."""
    options = [word for option, value in OPTIONS.items() for word in (option, str(value))]
    return ServeProcess("attentive:application", "--loop", loop, *options, directory=APPLICATIONS)


class Fault(AssertionError):
    """What a server did wrong, and how to see it again."""

    def __init__(self, loop: str, seeds: Sequence[int], what: str) -> None:
        again = " ".join(str(seed) for seed in seeds)
        super().__init__(f"{what}\nagain with: python -m tests.fuzz.requests --loop {loop} {again}")


async def try_all(it: ServeProcess, loop: str, seeds: Sequence[int]) -> None:
    """Make these attempts, a batch of them at a time.

    Raises:
        Fault: with what was wrong first.
    """
    async with connect(f"{it.websocket_url}/", open_timeout=PATIENCE_SECONDS) as neighbour:
        for batch in _batches(seeds):
            results = await asyncio.gather(*(_try(it, seed) for seed in batch), return_exceptions=True)
            for seed, result in zip(batch, results, strict=True):
                if isinstance(result, BaseException):
                    raise Fault(loop, [seed], f"{attempt(seed)}: {result!r}\n{it.output[-2000:]}") from result
            try:
                await _echoes(neighbour)
                wait_until(lambda: _connections(it) == 1, PATIENCE_SECONDS)
                _look_at(it)
            except (AssertionError, OSError) as problem:
                raise Fault(loop, batch, f"after a batch: {problem!r}\n{it.output[-4000:]}") from problem


def _batches(seeds: Sequence[int]) -> Iterator[list[int]]:
    """Yield the seeds, and in one batch at last those that the server waits for."""
    late = {seed for seed in seeds if is_late(attempt(seed))}
    punctual = [seed for seed in seeds if seed not in late]
    for start in range(0, len(punctual), BATCH):
        yield punctual[start : start + BATCH]
    yield sorted(late)


def _look_at(it: ServeProcess) -> None:
    assert it.process is not None
    assert it.process.poll() is None, f"it ended with {it.process.returncode}"
    log = it.output
    for word in ALARMING:
        assert word not in log, f"{word} in its log: {log[max(0, log.index(word) - 500) :][:3000]}"
    requests = it.metric('realtime_gateway_connections{kind="http"}')
    assert requests == 0, f"{requests} requests are left"


def _connections(it: ServeProcess) -> int:
    assert it.process is not None
    open_ones = psutil.Process(it.process.pid).net_connections("tcp")
    return sum(each.laddr.port == it.port and each.status != psutil.CONN_LISTEN for each in open_ones)


async def _echoes(neighbour: ClientConnection) -> None:
    """See that the server serves; it has had its turn with whatever came before."""
    for number in range(ECHOES):
        await neighbour.send(str(number))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await neighbour.recv() == str(number)


async def _try(it: ServeProcess, seed: int) -> None:
    tried = attempt(seed)
    async with asyncio.timeout(PATIENCE_SECONDS):
        received = await _received(it, tried)
    check(tried, received)


async def _received(it: ServeProcess, tried: Attempt) -> bytes:
    """Return what a client got."""
    loop = asyncio.get_running_loop()
    async with connect(f"{it.websocket_url}/", open_timeout=PATIENCE_SECONDS) as neighbour:
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", it.port))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # what was said before can still be read
                for piece in tried.pieces:
                    await loop.sock_sendall(client, piece)
                    if tried.slowly:
                        await _echoes(neighbour)
            if tried.end is End.SAYS_IT_SENDS_NO_MORE:
                with contextlib.suppress(OSError):  # the server was first
                    client.shutdown(socket.SHUT_WR)
            if tried.end is End.READS:
                return await _to_the_end(client)
            with contextlib.suppress(ConnectionResetError):
                if tried.end is End.SAYS_IT_SENDS_NO_MORE:
                    return await _to_the_end(client)
                await _echoes(neighbour)
                if tried.end is End.RESETS:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with contextlib.suppress(BlockingIOError):
                    return client.recv(1 << 20)
            return b""


async def _to_the_end(client: socket.socket) -> bytes:
    loop, received = asyncio.get_running_loop(), bytearray()
    while piece := await loop.sock_recv(client, 65536):
        received += piece
    return bytes(received)


def check(tried: Attempt, received: bytes) -> None:
    """Look at what one client got.

    Raises:
        AssertionError: where that is not what it must be.
    """
    answers = read_answers(received)
    unknown = [answer for answer in answers if answer.whole and answer.status not in ANSWERS]
    assert not unknown, f"answered with {unknown}"
    if tried.expected is None:
        return
    got = tuple((answer.status, answer.body if answer.status == 200 else b"") for answer in answers if answer.whole)
    assert got == tried.expected, f"answered with {answers}, not {tried.expected}"
    assert answers[-1].ends, f"{answers[-1]} does not say that it is the last"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loop", choices=LOOPS)
    parser.add_argument("--examples", type=int, default=20_000, help="where no seeds are given")
    parser.add_argument("seeds", nargs="*", type=int)
    arguments = parser.parse_args()
    seeds = arguments.seeds
    if not seeds:
        first = random.SystemRandom().randrange(2**32)
        seeds = range(first, first + arguments.examples)
    for loop in (arguments.loop,) if arguments.loop else LOOPS:
        with attentive(loop) as it:
            for seed in arguments.seeds:
                sys.stdout.write(f"{seed}: {attempt(seed)}\n")
            asyncio.run(try_all(it, loop, seeds))
            sys.stdout.write(f"{loop}: {len(seeds)} attempts from {seeds[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
