"""What counting costs on the way of a message: from what Redis pushes to the members' sockets, counted and not.

Run as a program: `python -m tests.benchmarks.metrics_cost`. The members' sockets send datagrams that nobody reads:
to read them costs more than what is measured. Without counting, the recorder's functions are replaced by one
that does nothing. Both ways take turns in one process, so that whatever else the machine does meets both alike; the
ratio is that of the shortest times of CPU.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any
from unittest.mock import patch

from realtime_gateway.environment import read_environment
from realtime_gateway.fanout.batch import Outbox
from realtime_gateway.fanout.consumer_class import ConsumerClass
from realtime_gateway.fanout.delivery import FanOut
from realtime_gateway.fanout.handlers import fanout
from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import names
from realtime_gateway.layer.delivering import Deliveries
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.options import read_options
from realtime_gateway.layer.process_state import ProcessState
from realtime_gateway.telemetry.histogram import Histogram
from realtime_gateway.telemetry.recorder import Family
from tests.support.machine_bench import Bench, entry

ROOM = names.group("room")
TURNS = 100
MESSAGES = 100


@dataclass(frozen=True)
class Cost:
    """CPU for one message to all members, in microseconds, and how much faster the one without counting is."""

    members: int
    counted_us: float
    uncounted_us: float
    throughput_ratio: float


class Chat:
    """A consumer as far as the fan-out looks at it."""

    @fanout
    @classmethod
    def chat_message(cls, event: dict[str, Any]) -> str:
        return json.dumps({"message": event["message"]})


class Socket(Outbox):
    """An outbox that sends to one that is never read: what is too much for it is dropped."""

    encoding: Hashable = "as they are"

    def __init__(self) -> None:
        self._unread = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._unread.bind(("127.0.0.1", 0))
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(self._unread.getsockname())
        self.writes = 0

    def close(self) -> None:
        self._socket.close()
        self._unread.close()

    def encode(self, payload: bytes, is_binary: bool) -> bytes:
        return bytes((0x82 if is_binary else 0x81, len(payload))) + payload

    def write(self, frames: bytes) -> bool:
        self.writes += 1
        return self._socket.send(frames) == len(frames)


class Process:
    """One process's machine, deliveries and fan-out, with members in one room; nothing else is there."""

    def __init__(self, members: int, outbox: Socket) -> None:
        loop = asyncio.get_running_loop()
        self._time, self._outbox, self._members = loop.time, outbox, members
        self._bench = Bench()
        self._bench.now = loop.time()
        self._bench.link_up(server_ms=int(loop.time() * 1000))
        self._bench.answer("heartbeat", [0, b"", b"%d" % (loop.time() * 1000), b"word"])
        fan_out, consumer = FanOut(), ConsumerClass(Chat, encodes_plainly=True)
        self._bench.join_live(last=b"1-0")
        state = ProcessState(read_options({}), HostList(0, (Shard("0", 1.0, {}),)), read_environment())
        state.fan_out = fan_out.deliver
        for number in range(1, members + 1):
            self._bench.join(channel=f"a.me!{number}")
            fan_out.add(f"a.me!{number}", consumer, outbox)
        # Members of some time: those who have just joined need a closer look at each message.
        self._bench.machine.following.follows[ROOM].joined_at -= 60
        self._deliveries = Deliveries(state, loop, lambda event: None)
        self._body = state.serializer.encode({"type": "chat.message", "message": "x" * 80})
        self._sent = 1
        self._due = 0

    async def push(self, messages: int) -> None:
        """Take messages from Redis, each when the members have the one before it."""
        handle, deliver = self._bench.machine.handle, self._deliveries.deliver
        for _ in range(messages):
            now, self._sent = self._time(), self._sent + 1
            raw = entry(5, self._sent, previous=self._sent - 1, body=self._body)
            payload = b"%d-0 %d-0/0 %s" % (self._sent, self._sent - 1, raw)
            for action in handle(events.Pushed("0", ROOM, payload), now):
                assert type(action) is actions.Deliver, action
                deliver(action)
            self._due += self._members
            while self._outbox.writes < self._due:
                await asyncio.sleep(0)


@contextmanager
def uncounted() -> Iterator[None]:
    """Let nothing be counted in the block."""

    def nothing(*more: object) -> None:
        pass

    with patch.object(Family, "add", nothing), patch.object(Histogram, "observe", nothing):
        yield


async def measure(members: int, turns: int = TURNS, messages: int = MESSAGES) -> Cost:
    """Let counted and uncounted messages take turns."""
    outbox = Socket()
    process = Process(members, outbox)
    times: tuple[list[float], list[float]] = ([], [])
    gc.disable()
    try:
        await process.push(messages)
        for turn in range(2 * turns):
            with uncounted() if turn % 2 else _counted():
                begun = time.process_time()
                await process.push(messages)
                times[turn % 2].append((time.process_time() - begun) / messages * 1e6)
    finally:
        gc.enable()
        outbox.close()
    counted, without = map(min, times)
    return Cost(members, round(counted, 2), round(without, 2), round(without / counted, 4))


@contextmanager
def _counted() -> Iterator[None]:
    yield


def main(say: Callable[[str], object] = print) -> None:
    """Print one JSON object for each size of a room."""
    say("What counting costs, in microseconds of CPU for one message to all members of a room:")
    for members in (1, 10, 100, 1000):
        messages = max(10, MESSAGES // max(1, members // 10))
        say(json.dumps(asdict(asyncio.run(measure(members, messages=messages)))))


if __name__ == "__main__":
    main()
