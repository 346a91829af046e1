"""One worker whose receivers come and go while its link breaks with answers on the way: each message is there once.

The machine and the real scripts on a real server; which of them goes on next is drawn from a seed.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis
from tests.support.machine_bench import Bench, entry
from tests.support.redis_process import RedisProcess

from realtime_gateway.layer import names
from realtime_gateway.layer.envelope import Kind, parse
from realtime_gateway.layer.machine import actions, events
from realtime_gateway.layer.shards.scripts import load

SEEDS = 300
STEPS = 100
MESSAGES = 10
QUEUE = names.queue("work")
QUEUE_CALLS = ("pop", "put_back")


@pytest.fixture(scope="module")
def client() -> Iterator[redis.Redis]:
    with RedisProcess() as server, server.client as connected:
        yield connected


class Worker:
    """A machine, its receivers, and the way to its server and back."""

    def __init__(self, client: redis.Redis, seed: int) -> None:
        self.client = client
        self.random = Random(seed)
        self.bench = Bench()
        self.key = self.bench.identity.names.key(QUEUE)
        self.answers: deque[tuple[actions.Call, Any]] = deque()
        self.receivers = 0
        self.boxed: list[actions.HandOver] = []
        self.consumed: list[bytes] = []
        self.is_up = False
        client.flushall()
        for number in range(MESSAGES):
            raw = entry(5, number, kind=Kind.QUEUED, body=b"%d" % number)
            client.rpush(self.key, b"%d " % int(time.time() * 1000) + raw)

    def feed(self, event: Any) -> None:
        for action in self.bench.feed(event):
            if isinstance(action, actions.HandOver):
                self.hand_over(action)

    def hand_over(self, action: actions.HandOver) -> None:
        if not self.receivers:
            self.feed(events.Unwanted(action.number))
            return
        self.boxed.append(action)
        self.want(self.receivers - 1)

    def want(self, receivers: int) -> None:
        self.receivers = receivers
        self.feed(events.Wanted("work", receivers))

    def take_out(self) -> None:
        if self.boxed:
            action = self.boxed.pop(0)
            self.consumed.append(action.body)
            self.feed(events.Consumed(action.number))

    def cancel(self) -> None:
        if self.boxed:
            self.feed(events.Unwanted(self.boxed.pop(self.random.randrange(len(self.boxed))).number))

    def serve(self) -> None:
        """The server executes the oldest call that has reached it."""
        waiting = [call for call in self.bench.pending if call.script in QUEUE_CALLS]
        if waiting:
            call = waiting[0]
            self.bench.pending.remove(call)
            text = load()[call.script].text
            self.answers.append((call, self.client.eval(text, len(call.keys), *call.keys, *call.arguments)))

    def hear(self) -> None:
        if self.answers:
            call, result = self.answers.popleft()
            self.feed(events.Replied(call.shard, call.purpose, result))

    def change_link(self) -> None:
        if self.is_up:
            self.answers.clear()
            self.bench.link_down()
        else:
            self.feed(events.LinkUp("0", "run"))
            self.bench.answer("fence", [0, b"", b"word", b"0"])
        self.is_up = not self.is_up

    def tick(self) -> None:
        self.bench.now += 0.25
        self.feed(events.Tick())

    def play(self) -> None:
        steps = (self.serve, self.hear, self.take_out, self.cancel, self.change_link, self.tick)
        for _ in range(STEPS):
            if self.random.random() < 0.25:
                self.want(self.random.randint(0, 3))
            else:
                self.random.choices(steps, (6, 6, 2, 2, 1, 2))[0]()

    def come_to_rest(self) -> None:
        """Nobody wants anything any more; what is in a box is taken out."""
        if not self.is_up:
            self.change_link()
        self.want(0)
        while self.boxed:
            self.take_out()
        for _ in range(40):
            self.tick()
            while self.answers or any(call.script in QUEUE_CALLS for call in self.bench.pending):
                self.serve()
                self.hear()

    def left(self) -> list[bytes]:
        return [parse(one.partition(b" ")[2]).body for one in self.client.lrange(self.key, 0, -1)]


def test_no_message_of_a_queue_is_lost_or_doubled_while_links_break_and_receivers_go(client: redis.Redis) -> None:
    wrong = {}
    breaks = 0
    for seed in range(SEEDS):
        worker = Worker(client, seed)
        worker.play()
        worker.come_to_rest()
        breaks += len([one for one in worker.bench.done if isinstance(one, actions.Disconnected)])
        found = Counter(worker.consumed + worker.left())
        if found != Counter(b"%d" % number for number in range(MESSAGES)):
            wrong[seed] = found
    assert not wrong
    assert breaks > SEEDS
