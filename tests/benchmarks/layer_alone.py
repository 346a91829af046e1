"""A channel layer without a server: groups of members in one process, which sends as well.

Run as a program: `python -m tests.benchmarks.layer_alone '{"backend": "…", "redis_port": 6379, …}'`. It prints one JSON
object.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.module_loading import import_string

SILENCE_SECONDS = 15.0
TEXT = "x" * 80


@dataclass(frozen=True)
class LayerLoad:
    """What to do.

    Attributes:
        backend: the layer's class.
        redis_port: of the one shard.
        groups: how many groups.
        members: of each group.
        outstanding: sends on their way at any moment.
        messages: sends measured, over all groups.
    """

    backend: str
    redis_port: int
    groups: int
    members: int
    outstanding: int
    messages: int


@dataclass(frozen=True)
class LayerOutcome:
    """What was measured; CPU is user and system time of this process."""

    deliveries: int
    lost: int
    twice: int
    seconds: float
    cpu_seconds: float


class Groups:
    """The members and what reached them."""

    def __init__(self, load: LayerLoad, layer: Any) -> None:
        self.load = load
        self.layer = layer
        self.seen: set[tuple[int, str]] = set()
        self.twice = 0
        self.missing: dict[int, int] = {}
        self.complete: dict[int, asyncio.Future[None]] = {}
        self.readers: list[asyncio.Task[None]] = []

    async def fill(self) -> None:
        for number in range(self.load.groups):
            for _ in range(self.load.members):
                channel = await self.layer.new_channel()
                await self.layer.group_add(f"group{number}", channel)
                self.readers.append(asyncio.create_task(self.read(channel)))

    async def read(self, channel: str) -> None:
        while True:
            event = await self.layer.receive(channel)
            number = event["number"]
            if (number, channel) in self.seen:
                self.twice += 1
                continue
            self.seen.add((number, channel))
            self.missing[number] -= 1
            if not self.missing[number]:
                self.complete.pop(number).set_result(None)

    async def send(self, numbers: Iterable[int]) -> None:
        """Send each number to the next group, and wait until all members have it or nothing comes any more."""
        pending = iter(numbers)
        senders = [asyncio.create_task(self.send_from(pending)) for _ in range(self.load.outstanding)]
        seen = -1
        while senders and len(self.seen) > seen:
            seen = len(self.seen)
            done, left = await asyncio.wait(senders, timeout=SILENCE_SECONDS)
            senders = list(left)
            for sender in done:
                sender.result()
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def send_from(self, pending: Iterator[int]) -> None:
        loop = asyncio.get_running_loop()
        for number in pending:
            self.missing[number] = self.load.members
            complete = self.complete[number] = loop.create_future()
            event = {"type": "chat.message", "number": number, "message": TEXT}
            await self.layer.group_send(f"group{number % self.load.groups}", event)
            await complete

    async def leave(self) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)


async def measure(load: LayerLoad) -> LayerOutcome:
    """Fill the groups, warm up, measure."""
    layer = import_string(load.backend)(hosts=[("127.0.0.1", load.redis_port)])
    groups = Groups(load, layer)
    await groups.fill()
    warm_up = load.groups
    await groups.send(range(warm_up))
    cpu, started = time.process_time(), time.monotonic()
    await groups.send(range(warm_up, warm_up + load.messages))
    cpu, seconds = time.process_time() - cpu, time.monotonic() - started
    await groups.leave()
    expected = (warm_up + load.messages) * load.members
    return LayerOutcome(
        deliveries=load.messages * load.members,
        lost=expected - len(groups.seen),
        twice=groups.twice,
        seconds=seconds,
        cpu_seconds=cpu,
    )


def collect_garbage_seldom() -> None:
    """Let the garbage collector run as seldom as in a process of `realtime-gateway serve`, whatever is measured.

    At Python's defaults most of a layer's time goes into looking at the tasks and messages that the benchmark holds.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def main() -> None:
    """Read the load from the command line and print the outcome."""
    collect_garbage_seldom()
    print(json.dumps(asdict(asyncio.run(measure(LayerLoad(**json.loads(sys.argv[1])))))))


if __name__ == "__main__":
    main()
