"""The example chat as tests run it: with a database of its own, on any server, over any channel layer."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.asyncio.client import ClientConnection, connect

from tests.support.server_process import PYTHON, ServerProcess

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / "examples" / "chat"
APPLICATION = "chat.asgi:application"
OURS = "realtime_gateway.layer.RedisChannelLayer"
READY = "/login/"
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "tests.integration.django.example_settings",
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(DIRECTORY)]),
}

# Server → how to run an application on a port of 127.0.0.1 with it.
SERVERS = {
    "serve": ["-m", "realtime_gateway.cli.main", "serve", "--bind", "127.0.0.1", "--port", "{port}"],
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", "{port}"],
    "uvicorn": ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}"],
    "gunicorn": [
        "-m",
        "gunicorn",
        "-k",
        "uvicorn_worker.UvicornWorker",
        "-w",
        "2",
        "--preload",
        "-b",
        "127.0.0.1:{port}",
    ],
}


def manage(environment: Mapping[str, str], *arguments: str) -> str:
    """Run the example's manage.py to its end and return what it printed."""
    done = subprocess.run(
        [PYTHON, "manage.py", *arguments],
        cwd=DIRECTORY,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def prepared_database() -> bytes:
    """Return a migrated database with the demo data, made once per test run."""
    with tempfile.TemporaryDirectory() as directory:
        database = Path(directory) / "db.sqlite3"
        environment = {**SETTINGS, "DATABASE": str(database)}
        manage(environment, "migrate", "--verbosity", "0")
        manage(environment, "demo_data")
        return database.read_bytes()


class ExampleProject:
    """The example with its own database in ``directory``.

    Args:
        directory: where its database is made.
        layer: the channel layer's BACKEND and CONFIG; None leaves the example's own, over ``REDIS_URL``.
        environment: what else its processes get.
    """

    def __init__(
        self, directory: Path, layer: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        database = directory / "db.sqlite3"
        self.environment = {**SETTINGS, "DATABASE": str(database), **(environment or {})}
        if layer is not None:
            self.environment["TEST_CHANNEL_LAYER"] = json.dumps(layer)
        database.write_bytes(prepared_database())

    def manage(self, *arguments: str) -> str:
        """Run a command of manage.py to its end and return what it printed."""
        return manage(self.environment, *arguments)

    def server(self, name: str, *options: str, port: int | None = None) -> ServerProcess:
        """Return a server of the table above, to be entered."""
        return ServerProcess(
            lambda port: [PYTHON, *(word.format(port=port) for word in SERVERS[name]), *options, APPLICATION],
            DIRECTORY,
            self.environment,
            port=port,
            ready=READY,
        )

    def worker(self, *channels: str) -> subprocess.Popen[bytes]:
        """Start `manage.py runworker`; the caller ends it."""
        return subprocess.Popen(
            [PYTHON, "manage.py", "runworker", *channels], cwd=DIRECTORY, env={**os.environ, **self.environment}
        )


class Visitor:
    """A browser's part: cookies, forms with their CSRF token, and WebSockets with the page's origin."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.AsyncClient(base_url=url, trust_env=False, follow_redirects=True)

    async def post(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Open the page, then send a form of it."""
        await self.http.get(page)
        token = self.http.cookies["csrftoken"]
        response = await self.http.post(action, data={"csrfmiddlewaretoken": token, **fields})
        response.raise_for_status()
        return response

    async def log_in(self, name: str, password: str) -> None:
        response = await self.post("/login/", "/login/", username=name, password=password)
        assert f"Log out {name}" in response.text

    def websocket(self, path: str) -> connect:
        """Return what to ``async with`` for a WebSocket to ``path``."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.http.cookies.items())
        return connect(
            self.url.replace("http:", "ws:") + path,
            origin=self.url,  # type: ignore[arg-type]  # websockets' NewType for a str
            additional_headers={"Cookie": cookies} if cookies else {},
            proxy=None,
        )


@asynccontextmanager
async def visiting(url: str) -> Any:
    """Yield a visitor of the site, and close its connections afterwards."""
    visitor = Visitor(url)
    try:
        yield visitor
    finally:
        await visitor.http.aclose()


def serving_process(server: ServerProcess, client: ClientConnection) -> int:
    """Return the process id of the server's process that holds the other end of a client's connection."""
    assert server.process is not None
    port = client.local_address[1]
    parent = psutil.Process(server.process.pid)
    for process in (parent, *parent.children(recursive=True)):
        if any(found.raddr and found.raddr.port == port for found in process.net_connections("tcp")):
            return process.pid
    raise AssertionError(f"no process of {server.command} serves the client on port {port}")
