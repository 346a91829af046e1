"""The links of one loop, to a real server, whatever those who are told of them do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer import shard_links
from realtime_gateway.layer.shard_links import ShardLinks
from realtime_gateway.layer.shards.dialling import DialFailed
from realtime_gateway.layer.shards.link import Callbacks, Link, open_link

SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


class Owner:
    """Whoever is told; stumbles over the first link, and over its end."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.reasons: list[str] = []
        self.stumbles = True
        self.links = ShardLinks(self._callbacks, self._on_up, self._on_down)

    def _callbacks(self, shard: str, on_lost: Callable[[str], None]) -> Callbacks:
        return Callbacks("control", lambda topic, payload: None, lambda topic: None, on_lost)

    def _on_up(self, shard: str, link: Link) -> None:
        self._stumble_once("up")

    def _on_down(self, shard: str, reason: str, refused: bool) -> None:
        self.reasons.append(reason)
        self._stumble_once("down")

    def _stumble_once(self, what: str) -> None:
        self.told.append(what)
        if self.stumbles and self.told.count(what) == 1:
            raise KeyError(what)

    async def heard(self, *told: str) -> None:
        await until(lambda: self.told == [*told], SECONDS)


async def test_an_error_of_those_who_are_told_ends_no_dialling(
    server: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner()
    owner.links.use(HostList(0, (Shard("0", 1.0, {"address": server.url}),)))
    # The first link is not taken; the second is lost, and the third comes after it.
    await owner.heard("up", "down", "down", "up")
    server.kill_connections("normal")
    await owner.heard("up", "down", "down", "up", "down", "up")
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert said == ["an unexpected error in the channel layer", "shard 0 cannot be used"]
    await owner.links.stop()


async def test_a_shard_that_comes_back_while_its_last_dial_still_ends_has_one_link(
    server: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    dials = 0

    async def open_slowly(connection: Mapping[str, Any], limit_seconds: float, callbacks: Callbacks) -> Link:
        nonlocal dials
        dials += 1
        if dials == 1:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                for _ in range(2):  # as a connection to a Sentinel takes to close
                    await asyncio.sleep(0)
        return await open_link(connection, limit_seconds, callbacks)

    monkeypatch.setattr(shard_links, "open_link", open_slowly)
    owner = Owner()
    owner.stumbles = False
    shard = Shard("0", 1.0, {"address": server.url})
    other = Shard("other", 1.0, {"address": server.url})
    owner.links.use(HostList(1, (shard,)))
    await until(lambda: dials == 1, SECONDS)
    owner.links.use(HostList(2, (other,)))
    await asyncio.sleep(0)
    owner.links.use(HostList(3, (shard,)))
    await owner.heard("up")
    with server.client as client:
        # Two of the link, and this one.
        await until(lambda: int(client.info("clients")["connected_clients"]) == 3, SECONDS)
    await owner.links.stop()


async def test_nothing_is_dialled_once_the_links_have_ended(server: RedisProcess) -> None:
    owner = Owner()
    owner.stumbles = False
    hosts = HostList(0, (Shard("0", 1.0, {"address": server.url}),))
    owner.links.use(hosts)
    await owner.heard("up")
    await owner.links.stop()
    before = asyncio.all_tasks()
    owner.links.use(hosts)
    assert asyncio.all_tasks() == before


async def test_a_server_that_hangs_is_said_to_hang(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_links, "CONNECT_SECONDS", 0.3)
    owner = Owner()
    owner.stumbles = False
    server.pause()
    try:
        owner.links.use(HostList(0, (Shard("0", 1.0, {"address": server.url}),)))
        await until(lambda: bool(owner.reasons), SECONDS)
    finally:
        server.resume()
        await owner.links.stop()
    assert "no connection within 0.3 s" in owner.reasons[0]


def test_whoever_asks_on_a_link_that_is_lost_by_then_hears_it_at_once() -> None:
    async def ask() -> None:
        link = Link(Callbacks("control", lambda topic, payload: None, lambda topic: None, lambda reason: None))
        link.lost("the server closed the connection")
        with pytest.raises(DialFailed, match="the server closed the connection"):
            await asyncio.wait_for(link.introduction(), SECONDS)

    asyncio.run(ask())
