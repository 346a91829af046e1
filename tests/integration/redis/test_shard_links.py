"""The links of one loop, to a real server, whatever those who are told of them do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

from realtime_gateway.hosts import HostList, Shard
from realtime_gateway.layer.shard_links import ShardLinks
from realtime_gateway.layer.shards.link import Callbacks, Link

SECONDS = 20.0


@pytest.fixture
def server() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


class Owner:
    """Whoever is told; stumbles over the first link, and over its end."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.links = ShardLinks(self._callbacks, self._on_up, self._on_down)

    def _callbacks(self, shard: str, on_lost: Callable[[str], None]) -> Callbacks:
        return Callbacks("control", lambda topic, payload: None, lambda topic: None, on_lost)

    def _on_up(self, shard: str, link: Link) -> None:
        self._stumble_once("up")

    def _on_down(self, shard: str, reason: str, refused: bool) -> None:
        self._stumble_once("down")

    def _stumble_once(self, what: str) -> None:
        self.told.append(what)
        if self.told.count(what) == 1:
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
