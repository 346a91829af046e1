"""A test case with the project served by the gateway in a process of its own."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from contextlib import suppress
from typing import IO, Any, ClassVar

from django.apps import apps
from django.conf import UserSettingsHolder, settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import TransactionTestCase

from realtime_gateway.errors import StartError
from realtime_gateway.testing.errand import Errand, write_errand

START_SECONDS = 60
STOP_SECONDS = 20


class GatewayLiveServerTestCase(TransactionTestCase):
    """Like Channels' ``ChannelsLiveServerTestCase``, on the gateway's server.

    The server is a fresh interpreter, so it makes no difference how ``multiprocessing`` starts processes. It uses the
    tests' databases (which therefore cannot be in memory) and their settings, those of ``override_settings`` on the
    class included; ``override_settings`` inside a test does not reach it. It ends with the class, and also when the
    tests are killed.

    With an in-memory channel layer consumers reach one another, but the test itself is another process; with a layer
    over Redis the test may send to groups too.

    Attributes:
        host: the interface to listen on, and the host of the URLs.
        port: 0 for any free port.
        application: dotted path of the ASGI application; ASGI_APPLICATION by default.
        serve_static: serve static files, where ``django.contrib.staticfiles`` is installed.
    """

    host: ClassVar[str] = "localhost"
    port: ClassVar[int] = 0
    application: ClassVar[str] = ""
    serve_static: ClassVar[bool] = True
    _live_server: ClassVar[subprocess.Popen[bytes]]
    _live_port: ClassVar[int]

    @property
    def live_server_url(self) -> str:
        """Where to send HTTP."""
        return f"http://{self.host}:{self._live_port}"

    @property
    def live_server_ws_url(self) -> str:
        """Where to open WebSockets."""
        return f"ws://{self.host}:{self._live_port}"

    @classmethod
    def setUpClass(cls) -> None:
        """Start the server, and wait until it listens.

        Raises:
            ImproperlyConfigured: a database is in memory, or the settings have no module.
            StartError: the server did not start; what it printed says why.
        """
        super().setUpClass()
        ready_fd, write_fd = os.pipe()
        with os.fdopen(ready_fd, "rb") as ready:
            try:
                cls._start_live_server(write_fd)
            finally:
                os.close(write_fd)
            cls._live_port = cls._port_when_ready(ready)

    @classmethod
    def _port_when_ready(cls, ready: IO[bytes]) -> int:
        readable, _, _ = select.select([ready], [], [], START_SECONDS)
        if not readable:
            cls._live_server.kill()
            raise StartError(f"The live server was not ready within {START_SECONDS} s.", "Its own output is above.")
        answer = ready.read()  # the port, or the end when the process is gone
        if not answer:
            raise StartError("The live server ended before it was ready.", "Its own message is above.")
        return int(answer)

    @classmethod
    def _start_live_server(cls, ready_fd: int) -> None:
        errand = cls._errand(ready_fd)
        cls._live_server = subprocess.Popen(
            [sys.executable, "-m", "realtime_gateway.testing.server_process"],
            stdin=subprocess.PIPE,
            pass_fds=[ready_fd],
        )
        cls.addClassCleanup(cls._stop_live_server)
        assert cls._live_server.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError):  # it is gone already, and will not be ready either
            write_errand(errand, cls._live_server.stdin)

    @classmethod
    def _errand(cls, ready_fd: int) -> Errand:
        module = os.environ.get("DJANGO_SETTINGS_MODULE", "")
        if not module:
            raise ImproperlyConfigured("A live server needs DJANGO_SETTINGS_MODULE, not settings.configure().")
        overrides = {"DEBUG": settings.DEBUG, **overridden_settings()}
        overrides["ALLOWED_HOSTS"] = [*settings.ALLOWED_HOSTS, cls.host]
        return Errand(
            settings_module=module,
            overrides=overrides,
            database_names=database_names(),
            application=cls.application,
            host=cls.host,
            port=cls.port,
            serve_static=cls.serve_static and apps.is_installed("django.contrib.staticfiles"),
            ready_fd=ready_fd,
        )

    @classmethod
    def _stop_live_server(cls) -> None:
        process = cls._live_server
        if process.stdin is not None:
            process.stdin.close()  # asks it to drain
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def database_names() -> dict[str, str]:
    """Return the names of the test databases by alias.

    Raises:
        ImproperlyConfigured: one is in memory, where no other process can read it.
    """
    names = {}
    for connection in connections.all():
        if connection.vendor == "sqlite" and connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's own
            raise ImproperlyConfigured(
                f"The test database {connection.alias!r} is in memory, and the live server is another process. "
                f'Give it a file: DATABASES[{connection.alias!r}]["TEST"] = {{"NAME": "test.sqlite3"}}.'
            )
        names[connection.alias] = str(connection.settings_dict["NAME"])
    return names


def overridden_settings() -> dict[str, Any]:
    """Return what ``override_settings`` has set, the innermost last."""
    layers: list[dict[str, Any]] = []
    holder: Any = settings._wrapped
    while isinstance(holder, UserSettingsHolder):
        layers.append({name: value for name, value in vars(holder).items() if name.isupper()})
        holder = holder.default_settings
    return {name: value for layer in reversed(layers) for name, value in layer.items()}
