"""The classic tutorial chat, with only its CHANNEL_LAYERS changed, and with our app in the place of daphne's."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.conditions import until
from tests.support.example_project import visiting
from tests.support.redis_process import RedisProcess
from tests.support.server_process import PYTHON, ServerProcess
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

TUTORIAL = Path(__file__).parent / "tutorial"
SERVE = ["-m", "realtime_gateway.cli.main", "serve", "--port", "{port}", "mysite.asgi:application"]
RUNSERVER = ["manage.py", "runserver", "--noreload", "{port}"]
RELOADING = ["manage.py", "runserver", "{port}"]
SECONDS = 20

# ASGI servers on the site as gateway_application routes it.
ROUTED = {
    "serve": ["-m", "realtime_gateway.cli.main", "serve", "--port", "{port}", "mysite.routed:application"],
    "daphne": ["-m", "daphne", "-p", "{port}", "mysite.routed:application"],
    "uvicorn": ["-m", "uvicorn", "--port", "{port}", "mysite.routed:application"],
}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A copy of the project, so that a test may edit it and leave a database in it."""
    shutil.copytree(TUTORIAL, tmp_path / "site")
    return tmp_path / "site"


def running(site: Path, redis: RedisProcess, settings: str, words: list[str]) -> ServerProcess:
    return ServerProcess(
        lambda port: [PYTHON, *(word.format(port=port) for word in words)],
        site,
        {"DJANGO_SETTINGS_MODULE": settings, "REDIS_PORT": str(redis.port)},
        ready="/chat/",
    )


async def check_chat(url: str) -> None:
    async with visiting(url) as visitor:
        assert "Which room?" in (await visitor.http.get("/chat/")).text
        assert '<script id="room" type="application/json">"lobby"' in (await visitor.http.get("/chat/lobby/")).text
        async with visitor.websocket("/ws/chat/lobby/") as one, visitor.websocket("/ws/chat/lobby/") as two:
            await one.send(json.dumps({"message": "hello"}))
            async with asyncio.timeout(SECONDS):
                assert json.loads(await one.recv()) == json.loads(await two.recv()) == {"message": "hello"}


@pytest.mark.parametrize("words", [SERVE, RUNSERVER], ids=["serve", "runserver"])
async def test_with_only_the_channel_layers_changed(words: list[str], site: Path, redis: RedisProcess) -> None:
    with running(site, redis, "mysite.settings", words) as server:
        await check_chat(server.url)


@pytest.mark.parametrize("server_name", ROUTED)
async def test_gateway_application_routes_the_site_and_refuses_strangers(
    server_name: str, site: Path, redis: RedisProcess
) -> None:
    with running(site, redis, "mysite.settings", ROUTED[server_name]) as server:
        await check_chat(server.url)
        with pytest.raises(InvalidStatus, match="403"):
            async with connect(server.websocket_url + "/ws/chat/lobby/", origin=Origin("http://evil.example")):
                pass
        assert "the origin 'http://evil.example' is not allowed" in server.output()
        async with visiting(server.url) as visitor:
            # Daphne has no denial responses: what is closed before it opens is 403 there.
            with pytest.raises(InvalidStatus, match="403" if server_name == "daphne" else "404"):
                async with visitor.websocket("/ws/nowhere/"):
                    pass
        assert "Traceback" not in server.output()


INSPECTED = [*SERVE[:-1], "mysite.inspected:application"]
WITH_DAPHNE = ["-m", "daphne", "-p", "{port}", "mysite.inspected:application"]
CHEAPER = " ".join(f"realtime_gateway.consumers.{name}" for name in ("database_hop", "dispatching", "session_looks"))
AS_IT_IS = "channels.db channels.utils channels.sessions"
DISPATCH = {
    "serve makes dispatch cheaper": (INSPECTED, "mysite.settings", CHEAPER),
    "the app makes it cheaper on any server": (WITH_DAPHNE, "mysite.adopted", CHEAPER),
    "settings leave it alone": (INSPECTED, "mysite.hopping", AS_IT_IS),
    "the layer alone leaves it alone": (WITH_DAPHNE, "mysite.settings", AS_IT_IS),
}


@pytest.mark.parametrize("story", DISPATCH)
def test_whose_dispatch_it_is(story: str, site: Path, redis: RedisProcess) -> None:
    words, settings, modules = DISPATCH[story]
    with running(site, redis, settings, words) as server:
        assert httpx.get(server.url + "/dispatch", trust_env=False).text == modules


async def test_our_runserver_serves_websockets_and_static_files(site: Path, redis: RedisProcess) -> None:
    with running(site, redis, "mysite.adopted", RUNSERVER) as server:
        await check_chat(server.url)
        async with visiting(server.url) as visitor:
            assert "WebSocket(" in (await visitor.http.get("/static/chat/room.js")).text
    assert server.process is not None
    assert server.process.returncode == 0


async def test_our_runserver_takes_daphnes_options(site: Path, redis: RedisProcess) -> None:
    words = [*RUNSERVER, "--http_timeout", "30", "--websocket_handshake_timeout", "7", "--nostatic"]
    with running(site, redis, "mysite.adopted", [*words, "--websocket-max-message-size", "2000"]) as server:
        await check_chat(server.url)
        async with visiting(server.url) as visitor:
            assert (await visitor.http.get("/static/chat/room.js")).status_code == 404


def test_our_runserver_gives_way_to_djangos_own(site: Path, redis: RedisProcess) -> None:
    with running(site, redis, "mysite.adopted", [*RUNSERVER, "--noasgi"]) as server:
        assert httpx.get(server.url + "/chat/", trust_env=False).headers["server"].startswith("WSGIServer")


async def test_our_runserver_follows_an_edit(site: Path, redis: RedisProcess) -> None:
    with running(site, redis, "mysite.adopted", RELOADING) as server:
        await check_chat(server.url)
        views = site / "chat" / "views.py"
        views.write_text(views.read_text().replace('"chat/index.html"', '"chat/room.html", {"room_name": "edited"}'))

        def edited() -> bool:
            try:
                return "edited" in httpx.get(server.url + "/chat/", trust_env=False, timeout=2).text
            except httpx.TransportError:
                return False

        await until(edited, 30)
        async with visiting(server.url) as visitor, visitor.websocket("/ws/chat/lobby/") as client:
            await client.send(json.dumps({"message": "after the reload"}))
            async with asyncio.timeout(SECONDS):
                assert json.loads(await client.recv()) == {"message": "after the reload"}
