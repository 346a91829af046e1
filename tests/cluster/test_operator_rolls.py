"""Pods that come and go on purpose: clients of those that end are closed at a pace, told to come back, and do."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import websockets

from tests.cluster import images
from tests.cluster.cluster import ROOT, Cluster, Namespace
from tests.cluster.operator_bed import Gateway, say
from tests.cluster.waiting import until, wait_until

pytestmark = pytest.mark.usefixtures("operator")

ACCEPT_SECONDS, PERIOD_SECONDS = 1, 3
# So many that each of two pods needs its whole period: a few would be closed at 20 a second, and be done before.
CROWD = 130
# In a tenth of the period a pod closes a tenth of its sockets; on a busy machine some wait for their turn.
AT_ONCE = 1 / 3
SERVICE_RESTART = 1012  # RFC 6455 §11.7: come back


class Visitor:
    """Somebody who connects again when told to, as browsers' libraries do."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.socket: Any = None
        self.heard: list[str] = []
        self.closed: list[tuple[float, int]] = []

    async def stay(self) -> None:
        connect = self.gateway.namespace.cluster.connect
        while True:
            with suppress(OSError, TimeoutError, websockets.InvalidHandshake):
                async with connect(
                    self.gateway.host, "/ws/chat/lobby/", origin=f"http://{self.gateway.host}"
                ) as socket:
                    await self._listen(socket)
            await asyncio.sleep(0.1)

    async def _listen(self, socket: Any) -> None:
        self.socket = socket
        try:
            while True:
                self.heard.append(json.loads(await socket.recv())["message"])
        except websockets.ConnectionClosed as error:
            self.closed.append((time.monotonic(), error.rcvd.code if error.rcvd else 1006))
        finally:
            self.socket = None


@asynccontextmanager
async def visitors(gateway: Gateway, count: int) -> AsyncIterator[list[Visitor]]:
    people = [Visitor(gateway) for _ in range(count)]
    tasks = [asyncio.create_task(visitor.stay()) for visitor in people]
    try:
        await all_hear(people, "hello")
        yield people
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_hear(people: list[Visitor], text: str) -> None:
    """Everybody is connected, and what one says reaches all."""
    await until(lambda: all(visitor.socket is not None for visitor in people), 60)
    await people[0].socket.send(json.dumps({"message": text}))
    await until(lambda: all(text in visitor.heard for visitor in people), 30)


async def during(people: list[Visitor], change: Callable[[], None], text: str) -> list[tuple[float, int]]:
    """What was closed while something changed, after which everybody is there again."""
    for visitor in people:
        visitor.closed.clear()
    await asyncio.to_thread(change)
    await all_hear(people, text)
    return sorted(closed for visitor in people for closed in visitor.closed)


@pytest.fixture
def gateway(namespace: Namespace) -> Gateway:
    made = Gateway(namespace, {"drain": {"acceptSeconds": ACCEPT_SECONDS, "periodSeconds": PERIOD_SECONDS}})
    made.apply()
    made.wait_until_ready()
    return made


def pod_count(gateway: Gateway) -> int:
    return len(gateway.namespace.get("pods", "-l", "app.kubernetes.io/component=gateway"))


@pytest.mark.timeout(600, func_only=True)
async def test_scaling_up_closes_nobody_and_scaling_down_closes_at_a_pace(gateway: Gateway) -> None:
    def scale(count: int) -> None:
        # By the scale subresource, as an autoscaler does.
        gateway.namespace.kubectl("scale", "realtimegateway/chat", f"--replicas={count}")
        wait_until(lambda: pod_count(gateway) == count, 180)
        gateway.wait_until_ready(180)

    async with visitors(gateway, 16) as people:
        assert await during(people, lambda: scale(4), "four of us") == []
        # The new pods get clients too, so that some are closed with them.
        newcomers = [await connected(gateway) for _ in range(16)]
        closed = await during(people, lambda: scale(2), "two again")
        codes = [await code_of(socket) for socket in newcomers]
    assert {code for _, code in closed} <= {SERVICE_RESTART}
    assert SERVICE_RESTART in codes
    assert set(codes) <= {SERVICE_RESTART, None}


async def connected(gateway: Gateway) -> Any:
    return await gateway.namespace.cluster.connect(gateway.host, "/ws/chat/lobby/", origin=f"http://{gateway.host}")


async def code_of(socket: Any) -> int | None:
    """With what the server has closed a socket; None when it is open still, and then it is closed now."""
    with suppress(websockets.ConnectionClosed):
        await socket.ping()
    code: int | None = socket.close_code
    await socket.close()
    return code


@pytest.mark.timeout(600, func_only=True)
async def test_a_new_image_rolls_and_closes_each_old_pods_clients_over_the_drain_period(
    gateway: Gateway, cluster: Cluster, gateway_image: str
) -> None:
    newer = gateway_image.replace(":1", ":2")
    options = ("--target", "gateway", "--build-arg", f"BASE_IMAGE={images.PYTHON}", "--label", "release=2")
    images.build(newer, ROOT, *options)
    cluster.load_image(newer)

    def roll() -> None:
        gateway.apply(image=newer)
        gateway.wait_for("Progressing", "True", "RollingOut")
        gateway.wait_until_ready(240)

    def images_of_pods() -> set[str]:
        pods = gateway.namespace.get("pods", "-l", "app.kubernetes.io/component=gateway")
        return {pod["spec"]["containers"][0]["image"] for pod in pods}

    async with visitors(gateway, CROWD) as people:
        closed = await during(people, roll, "all new")
    assert images_of_pods() == {newer}
    assert {code for _, code in closed} == {SERVICE_RESTART}
    assert len(closed) >= CROWD, "everybody was on an old pod"
    times = [when for when, _ in closed]
    say(f"{len(closed)} sockets closed over {times[-1] - times[0]:.1f} s; drain period {PERIOD_SECONDS} s for each pod")
    moment = PERIOD_SECONDS / 10
    most = max(sum(begin <= when < begin + moment for when in times) for begin in times)
    shown = [round(when - times[0], 1) for when in times]
    assert most < AT_ONCE * len(closed), f"{most} of {len(closed)} within {moment:g} s: {shown}"
