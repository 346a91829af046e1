"""The stacks without our server: refusals, revocation and hidden tokens on uvicorn and on stock Daphne."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import websockets
from websockets.asyncio.client import connect

from tests.attacks.conftest import ORIGIN, PREPARE, SHOP, WITH_TESTS, Errands
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess
from tests.support.server_process import ServerProcess

SERVERS = {
    "uvicorn": lambda port: [sys.executable, "-m", "uvicorn", "asgi:application", "--port", str(port)],
    "daphne": lambda port: [sys.executable, "-m", "daphne", "-p", str(port), "asgi:application"],
}


@dataclass
class Stall:
    server: ServerProcess
    users: dict[str, dict[str, str]]
    diary: Path
    errands: Errands

    def knock(self, path: str, subprotocols: Sequence[str] = ()) -> connect:
        url = self.server.websocket_url + path
        return connect(url, origin=ORIGIN, proxy=None, subprotocols=subprotocols or None)  # type: ignore[arg-type]


@pytest.fixture(scope="module", params=SERVERS)
def stall(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stall]:
    directory = tmp_path_factory.mktemp("stall")
    diary = directory / "diary"
    diary.touch()
    with RedisProcess() as redis:
        environment = {
            "DJANGO_SETTINGS_MODULE": "shop_settings",
            "SHOP_DATABASE": str(directory / "shop.sqlite3"),
            "SHOP_DIARY": str(diary),
            "REDIS_URL": redis.url,
            **WITH_TESTS,
        }
        with Errands(environment) as errands:
            users = json.loads(errands.run(PREPARE))
            with ServerProcess(SERVERS[request.param], SHOP, environment, ready="/ready/") as server:
                yield Stall(server, users, diary, errands)


async def test_a_bad_token_is_refused_before_the_upgrade(stall: Stall) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        await stall.knock("/query/?token=a.b.c").__aenter__()
    assert refused.value.response.status_code in (401, 403)  # 403 where the denial extension is missing


async def test_a_revocation_closes_the_socket_and_the_consumer_hears_of_it(stall: Stall) -> None:
    ann = stall.users["ann"]
    async with stall.knock("/simplejwt/", ["bearer", ann["simplejwt"]]) as socket:
        assert socket.subprotocol == "bearer"
        assert json.loads(await socket.recv())["user"] == "ann"
        revoke = f"from realtime_gateway.auth.revocation import revoke; revoke({ann['pk']}, 'stolen')"
        await asyncio.to_thread(stall.errands.run, revoke)
        async with asyncio.timeout(20):
            await socket.wait_closed()
        assert socket.close_code == 4401
        assert socket.close_reason == ("" if "daphne" in stall.server.command else "stolen")  # Daphne sends none
    await until(lambda: "ann left with" in stall.diary.read_text())


async def test_a_token_of_the_query_is_in_no_access_log_of_uvicorn(stall: Stall) -> None:
    if "daphne" in stall.server.command:
        pytest.skip("Daphne logs no query strings")
    secret = stall.users["bob"]["simplejwt"]
    command = SERVERS["uvicorn"]
    queried = ServerProcess(
        lambda port: [word.replace("asgi:application", "asgi:queried") for word in command(port)],
        SHOP,
        stall.server.environment,
        ready="/ready/",
    )
    with queried:
        url = f"{queried.websocket_url}/knock/?room=1&token={secret}"
        async with connect(url, origin=ORIGIN, proxy=None) as socket:  # type: ignore[arg-type]
            said = json.loads(await socket.recv())
            assert (said["user"], said["query"]) == ("bob", "room=1")
        await until(lambda: "/knock/?room=1" in queried.output())
        assert secret[-30:] not in queried.output()
