"""A channel layer without a server: groups of members in one process, which sends as well.

Run as a program: `python -m tests.benchmarks.layer_alone '{"backend": "…", "redis_port": 6379, …}'`. It prints one JSON
object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
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
        self.arrived: dict[int, asyncio.Event] = {}
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
                self.arrived[number].set()

    async def send(self, numbers: range, senders: asyncio.Semaphore) -> None:
        """Send each number to the next group, so many at a time, and wait until all members have it."""

        async def one(number: int) -> None:
            async with senders:
                self.missing[number], self.arrived[number] = self.load.members, asyncio.Event()
                event = {"type": "chat.message", "number": number, "message": TEXT}
                await self.layer.group_send(f"group{number % self.load.groups}", event)
                await asyncio.wait_for(self.arrived[number].wait(), SILENCE_SECONDS)

        await asyncio.gather(*(one(number) for number in numbers), return_exceptions=True)

    async def leave(self) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)


async def measure(load: LayerLoad) -> LayerOutcome:
    """Fill the groups, warm up, measure."""
    layer = import_string(load.backend)(hosts=[("127.0.0.1", load.redis_port)])
    groups = Groups(load, layer)
    await groups.fill()
    senders = asyncio.Semaphore(load.outstanding)
    warm_up = load.groups
    await groups.send(range(warm_up), senders)
    cpu, started = time.process_time(), time.monotonic()
    await groups.send(range(warm_up, warm_up + load.messages), senders)
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


def main() -> None:
    """Read the load from the command line and print the outcome."""
    print(json.dumps(asdict(asyncio.run(measure(LayerLoad(**json.loads(sys.argv[1])))))))


if __name__ == "__main__":
    main()
