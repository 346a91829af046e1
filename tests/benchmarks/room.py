"""The load: clients in one room, a number of messages outstanding, every delivery counted.

Run as a program, so that it has a core of its own:

    python -m tests.benchmarks.room '{"port": 8000, "clients": 200, …}'

It prints one JSON object. Frames are read by hand, since a client library would cost more than the server under test.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial

import psutil

SILENCE_SECONDS = 15.0
TEXT_LENGTH = 100
CLOSE_OPCODE = 8


@dataclass(frozen=True)
class Load:
    """What to do.

    Attributes:
        port: of the server.
        watched: process ids whose CPU is read: the server's, then Redis's.
        clients: members of the room.
        outstanding: messages on their way at any moment.
        warm_up: messages before the measurement.
        messages: messages measured.
        path: of the room's WebSocket.
    """

    port: int
    watched: tuple[int, int]
    clients: int
    outstanding: int
    warm_up: int
    messages: int
    path: str = "/ws/chat/lobby/"


@dataclass(frozen=True)
class Outcome:
    """What was measured; CPU is user and system time."""

    deliveries: int
    lost: int
    twice: int
    seconds: float
    server_cpu_seconds: float
    redis_cpu_seconds: float
    client_cpu_seconds: float


class Room:
    """All clients, and which of them got which message."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.total = load.warm_up + load.messages
        self.bodies = [
            f"{number:08d} ".ljust(TEXT_LENGTH - len('{"message": ""}'), "x") for number in range(self.total)
        ]
        self.numbers: dict[bytes, int] = {}
        self.arrived = [0] * self.total
        self.seen = [bytearray(self.total) for _ in range(load.clients)]
        self.twice = 0
        self.next = 0
        self.stop_at = 0
        self.complete = 0
        self.idle = asyncio.Event()
        self.last_arrival = time.monotonic()
        self.members: list[Member] = []

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for index in range(self.load.clients):
            _, member = await loop.create_connection(partial(Member, self, index), "127.0.0.1", self.load.port)
            self.members.append(member)
            await asyncio.wait_for(member.open, 30)

    async def run(self, messages: int) -> None:
        """Send that many messages and wait until every client has each, or until nothing comes any more."""
        self.stop_at = self.next + messages
        self.idle.clear()
        self.last_arrival = time.monotonic()
        for _ in range(min(self.load.outstanding, messages)):
            self.send_next()
        while not self.idle.is_set():
            try:
                await asyncio.wait_for(self.idle.wait(), 1)
            except TimeoutError:
                if time.monotonic() - self.last_arrival > SILENCE_SECONDS:
                    return

    def send_next(self) -> None:
        number = self.next
        self.next += 1
        self.members[number % len(self.members)].send_text(json.dumps({"message": self.bodies[number]}).encode())

    def delivered(self, index: int, payload: bytes) -> None:
        number = self.numbers.get(payload)
        if number is None:
            number = self.numbers[payload] = int(json.loads(payload)["message"][:8])
        if self.seen[index][number]:
            self.twice += 1
            return
        self.seen[index][number] = 1
        self.arrived[number] += 1
        if self.arrived[number] == self.load.clients:
            self.finished()

    def finished(self) -> None:
        self.complete += 1
        if self.next < self.stop_at:
            self.send_next()
        elif self.complete == self.stop_at:
            self.idle.set()

    async def close(self) -> None:
        """Close every connection with a handshake: whatever the server sent before its answer is counted."""
        for member in self.members:
            member.send_close()
        await asyncio.wait([member.gone for member in self.members], timeout=SILENCE_SECONDS)


class Member(asyncio.Protocol):
    """One client: the handshake, then whole unfragmented frames."""

    def __init__(self, room: Room, index: int) -> None:
        self.room = room
        self.index = index
        self.buffer = b""
        loop = asyncio.get_running_loop()
        self.open: asyncio.Future[None] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        host = f"127.0.0.1:{self.room.load.port}"
        lines = [
            f"GET {self.room.load.path} HTTP/1.1",
            f"Host: {host}",
            f"Origin: http://{host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        if self.open.done() or self.read_handshake():
            self.buffer = self.read_frames(self.buffer)

    def read_handshake(self) -> bool:
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        if not head.startswith(b"HTTP/1.1 101"):
            self.open.set_exception(RuntimeError(f"refused: {head.splitlines()[0]!r}"))
            return False
        self.open.set_result(None)
        self.buffer = rest
        return True

    def read_frames(self, buffer: bytes) -> bytes:
        start, room = 0, self.room
        while len(buffer) - start >= 2:
            head, length = buffer[start] & 0x0F, buffer[start + 1]
            body = start + 2
            if length == 126:
                body += 2
                length = int.from_bytes(buffer[body - 2 : body], "big")
            if len(buffer) < body + length:
                break
            if head == 1:
                room.last_arrival = time.monotonic()
                room.delivered(self.index, buffer[body : body + length])
            start = body + length
        return buffer[start:]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open.done():
            self.open.set_exception(error or RuntimeError("closed during the handshake"))
        self.gone.set_result(None)

    def send_text(self, payload: bytes) -> None:
        self.send(1, payload)

    def send_close(self) -> None:
        self.send(CLOSE_OPCODE, (1000).to_bytes(2, "big"))

    def send(self, opcode: int, payload: bytes) -> None:
        """A masked frame; the mask is zero, which leaves the payload as it is."""
        length = len(payload)
        size = bytes([0x80 | length]) if length < 126 else bytes([0x80 | 126]) + length.to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + size + b"\0\0\0\0" + payload)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and its children so far."""
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        times = each.cpu_times()
        total += times.user + times.system
    return total


async def measure(load: Load) -> Outcome:
    """Fill the room, warm up, measure, leave."""
    room = Room(load)
    await room.connect()
    await room.run(load.warm_up)
    watched = [*load.watched, os.getpid()]
    before, started = [cpu_seconds(pid) for pid in watched], time.monotonic()
    await room.run(load.messages)
    seconds, after = time.monotonic() - started, [cpu_seconds(pid) for pid in watched]
    await room.close()
    used = [late - early for early, late in zip(before, after, strict=True)]
    return Outcome(
        deliveries=sum(room.arrived[load.warm_up :]),
        lost=room.total * load.clients - sum(room.arrived),
        twice=room.twice,
        seconds=seconds,
        server_cpu_seconds=used[0],
        redis_cpu_seconds=used[1],
        client_cpu_seconds=used[2],
    )


def main() -> None:
    """Read the load from the command line and print the outcome."""
    fields = json.loads(sys.argv[1])
    load = Load(**{**fields, "watched": tuple(fields["watched"])})
    print(json.dumps(asdict(asyncio.run(measure(load)))))


if __name__ == "__main__":
    main()
