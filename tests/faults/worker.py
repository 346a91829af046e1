"""One process of a fault test: it sends numbered messages, keeps what it receives, and does what its test says.

Run as a program: `python -m tests.faults.worker '{"name": "…", "hosts": […], "options": {…}}'`. Each line of its
standard input is a JSON object with a command under "do", and is answered by one line.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import Any

from realtime_gateway.layer import RedisChannelLayer
from tests.faults.groups import is_queue

# A stream pauses with so many on their way, as a view with so many requests would.
OUTSTANDING = 50
# How many messages of one queue this process works on at a time.
RECEIVERS = 5
GONE, BACK = "fault.gone", "fault.back"


class Stream:
    """What this process sends to one destination: a group, a queue, or another process's channel (with a "!")."""

    def __init__(self, worker: Worker, destination: str, per_second: float) -> None:
        self.worker = worker
        self.destination = destination
        self.period_seconds = 1 / per_second
        self.issued = 0
        self.acknowledged = 0
        self.newest_acknowledged = -1
        self.failed: dict[int, tuple[str, float]] = {}
        self.on_their_way: set[asyncio.Task[None]] = set()
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        begun = time.monotonic()
        for turn in itertools.count(1):
            if self.stopped.is_set():
                break
            if len(self.on_their_way) < OUTSTANDING:
                task = asyncio.create_task(self.send(self.issued))
                self.issued += 1
                self.on_their_way.add(task)
                task.add_done_callback(self.on_their_way.discard)
            # One that was stopped, or came late, goes on from now and does not make up for it.
            begun = max(begun, time.monotonic() - (turn + 1) * self.period_seconds)
            await asyncio.sleep(max(begun + turn * self.period_seconds - time.monotonic(), 0))
        await asyncio.gather(*self.on_their_way)

    async def send(self, number: int) -> None:
        layer, started = self.worker.layer, time.monotonic()
        message = {"type": "count", "sender": self.worker.name, "to": self.destination, "number": number}
        try:
            if "!" in self.destination or is_queue(self.destination):
                await layer.send(self.destination, message)
            else:
                await layer.group_send(self.destination, message)
        except Exception as error:
            self.failed[number] = (type(error).__name__, time.monotonic() - started)
        else:
            self.acknowledged += 1
            self.newest_acknowledged = max(number, self.newest_acknowledged)


class Member:
    """One channel, and what came to it; of a queue, what was taken here."""

    def __init__(self, worker: Worker, channel: str) -> None:
        self.worker = worker
        self.channel = channel
        self.arrivals: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.last_at: dict[str, float] = {}
        self.silence: dict[str, tuple[float, float]] = {}
        self.raised: list[str] = []
        self.gone = 0
        self.told: list[list[str]] = []

    async def read(self) -> None:
        while True:
            try:
                message = await self.worker.layer.receive(self.channel)
            except Exception as error:
                self.raised.append(repr(error))
                await asyncio.sleep(0.05)
                continue
            if message["type"] == GONE:
                self.gone += 1
            elif message["type"] == BACK:
                if message["lost"]:
                    self.told.append(message["groups"])
            else:
                self.arrived(message)

    def arrived(self, message: dict[str, Any]) -> None:
        now, destination = time.monotonic(), message["to"]
        self.arrivals[destination][message["sender"]].append(message["number"])
        before = self.last_at.get(destination, now)
        longest = self.silence.get(destination, (now, now))
        if now - before >= longest[1] - longest[0]:
            self.silence[destination] = (before, now)
        self.last_at[destination] = now


class Worker:
    """The process: its layer, its members, its streams."""

    def __init__(self, name: str, hosts: list[Any] | None, options: dict[str, Any]) -> None:
        self.name = name
        options = {"capacity": 1_000_000, "on_disconnect": GONE, "on_reconnect": BACK, **options}
        self.layer = RedisChannelLayer(hosts=hosts, **options)
        self.members: list[Member] = []
        self.streams: list[Stream] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.commands: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
            "join": self.join,
            "leave": self.leave,
            "take": self.take,
            "add": self.add,
            "send": self.send,
            "progress": self.progress,
            "taken": self.taken,
            "finish": self.finish,
            "report": self.report,
        }

    async def join(self, groups: list[str], members: int) -> list[str]:
        """Add new channels to all of the groups; return their names."""
        added = []
        for _ in range(members):
            member = Member(self, await self.layer.new_channel())
            for group in groups:
                await self.layer.group_add(group, member.channel)
            self.tasks.append(asyncio.create_task(member.read()))
            added.append(member)
        self.members += added
        return [member.channel for member in added]

    async def leave(self, groups: list[str], channel: str) -> None:
        """Take a channel out of groups."""
        for group in groups:
            await self.layer.group_discard(group, channel)

    async def take(self, queues: list[str]) -> None:
        """Begin to take from queues."""
        added = [Member(self, queue) for queue in queues]
        self.members += added
        self.tasks += [asyncio.create_task(member.read()) for member in added for _ in range(RECEIVERS)]

    async def add(self, group: str, channel: str) -> None:
        """Make a channel that need not be of this process a member of a group."""
        await self.layer.group_add(group, channel)

    async def send(self, destinations: list[str], per_second: float) -> None:
        """Begin to send numbered messages to each destination."""
        added = [Stream(self, destination, per_second) for destination in destinations]
        self.streams += added
        self.tasks += [asyncio.create_task(stream.run()) for stream in added]

    async def progress(self) -> dict[str, Any]:
        """How far everything is."""
        errors = Counter(kind for stream in self.streams for kind, _ in stream.failed.values())
        return {
            "issued": {stream.destination: stream.issued for stream in self.streams},
            "acknowledged": {stream.destination: stream.newest_acknowledged for stream in self.streams},
            "errors": dict(errors),
            "latest": {
                member.channel: {to: {s: n[-1] for s, n in by.items()} for to, by in member.arrivals.items()}
                for member in self.members
            },
            "gone": max((member.gone for member in self.members), default=0),
        }

    async def taken(self) -> dict[str, dict[str, dict[str, list[int]]]]:
        """What was taken from queues: by queue, destination and sender."""
        return {member.channel: member.arrivals for member in self.members if is_queue(member.channel)}

    async def finish(self) -> None:
        """Send nothing new, and wait until nothing is on its way."""
        for stream in self.streams:
            stream.stopped.set()
        while any(stream.on_their_way for stream in self.streams):
            await asyncio.sleep(0.02)

    async def report(self) -> dict[str, Any]:
        """Everything that was counted."""
        return {
            "streams": [
                {"to": stream.destination, "issued": stream.issued, "failed": list(stream.failed.items())}
                for stream in self.streams
            ],
            "members": [
                {
                    "channel": member.channel,
                    "arrivals": member.arrivals,
                    "raised": member.raised,
                    "told": member.told,
                    "silence": member.silence,
                }
                for member in self.members
            ],
        }

    async def obey(self, lines: asyncio.Queue[str]) -> None:
        """Do what each line says, until the input ends."""
        while line := await lines.get():
            command = json.loads(line)
            answer = await self.commands[command.pop("do")](**command)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
        for task in self.tasks:
            task.cancel()
        await self.layer.close()


async def main() -> None:
    """Read commands until there are no more."""
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(levelname)s %(name)s: %(message)s")
    loop = asyncio.get_running_loop()
    lines: asyncio.Queue[str] = asyncio.Queue()

    def read() -> None:
        for line in iter(sys.stdin.readline, ""):
            loop.call_soon_threadsafe(lines.put_nowait, line)
        loop.call_soon_threadsafe(lines.put_nowait, "")

    threading.Thread(target=read, daemon=True).start()
    await Worker(**json.loads(sys.argv[1])).obey(lines)


if __name__ == "__main__":
    asyncio.run(main())
