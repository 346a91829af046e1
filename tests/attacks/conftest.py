"""A real server with the shop, its users and their credentials, and the verbs that an attacker has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.support.serve_process import ServeProcess

SHOP = Path(__file__).with_name("shop")
ORIGIN = "http://shop.test"
# The shop runs code of the documents, which tests.support reads.
WITH_TESTS = {"PYTHONPATH": str(SHOP.parents[2])}
PREPARE = """
import json
from django.core.management import call_command
call_command("migrate", verbosity=0)
from django.contrib.auth.models import User
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken
from knox.models import AuthToken
made = {}
for name in ("ann", "bob", "eve"):
    user = User.objects.create_user(name, password=name)
    refresh = RefreshToken.for_user(user)
    made[name] = {
        "pk": str(user.pk), "drf": Token.objects.create(user=user).key, "simplejwt": str(refresh.access_token),
        "refresh": str(refresh), "knox": AuthToken.objects.create(user)[1],
    }
print(json.dumps(made))
"""


@dataclass
class Shop:
    """A running shop."""

    server: ServeProcess
    users: dict[str, dict[str, str]]
    diary: Path
    environment: dict[str, str]
    errands: Errands

    def python(self, code: str) -> str:
        """Run code as a process of the site, beside the server."""
        return self.errands.run(code)

    def knock(self, path: str, *, origin: str | None = ORIGIN, **options: Any) -> connect:
        """Open a WebSocket."""
        return connect(self.server.websocket_url + path, origin=origin, proxy=None, **options)  # type: ignore[arg-type]

    async def user(self, path: str, **options: Any) -> str:
        """Who the socket says that its client is."""
        async with self.knock(path, **options) as socket:
            return str((await greeting(socket))["user"])

    async def status(self, path: str, **options: Any) -> int:
        """The status of a handshake that is refused."""
        with pytest.raises(websockets.InvalidStatus) as refused:
            await self.knock(path, **options).__aenter__()
        return refused.value.response.status_code

    def denied(self, reason: str) -> float:
        """How often that has been counted."""
        return self.server.metric(f'realtime_gateway_denials_total{{reason="{reason}"}}')


async def greeting(socket: ClientConnection) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(await socket.recv())
    return said


class Errands:
    """A process beside the server that runs code of the site."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "errands.py"],
            cwd=SHOP,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, code: str) -> str:
        """Run code, and return what it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        printed, error = json.loads(self._process.stdout.readline())
        assert not error, error
        return str(printed)

    def __enter__(self) -> Errands:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


def open_shop(directory: Path, **more: str) -> Iterator[Shop]:
    """Prepare the database, and serve."""
    diary = directory / "diary"
    diary.touch()
    environment = {
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        "SHOP_DATABASE": str(directory / "shop.sqlite3"),
        "SHOP_DIARY": str(diary),
        "PYTHONWARNINGS": "default",  # knox warns by itself
        **WITH_TESTS,
        **more,
    }
    with Errands(environment) as errands:
        users = json.loads(errands.run(PREPARE))
        server = ServeProcess(
            "asgi:application",
            "--access-log",
            "-",
            "--websocket_connect_timeout",
            "30",
            directory=SHOP,
            environment=environment,
        )
        with server:
            yield Shop(server, users, diary, environment, errands)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop for the tests of a module."""
    yield from open_shop(tmp_path_factory.mktemp("shop"))
