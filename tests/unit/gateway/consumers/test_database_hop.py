"""The patched dispatch closes the connections that upstream's closes, with real SQLite files, and hops less."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import channels.consumer
import channels.db
import django.db
import pytest
from asgiref.sync import sync_to_async
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler
from tests.support.conditions import until

from realtime_gateway.consumers import database_hop, open_connections
from realtime_gateway.telemetry import recorder


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    """The patch in place, and nothing known from other tests."""
    database_hop.remove()
    with (
        mock.patch.object(database_hop, "_open", open_connections.OpenConnections()),
        mock.patch.object(database_hop, "_destinations", type(database_hop._destinations)()),
    ):
        assert database_hop.apply()
        # Tests with a database leave theirs open in this thread, in which an application has none.
        database_hop._open.connections.clear()
        yield
        database_hop.remove()
    assert database_hop.apply()


class Database:
    """A SQLite file as Django's default database; each thread has a connection of its own."""

    def __init__(self, path: Path, maximum_age: int | None) -> None:
        self.handler = ConnectionHandler(
            {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "CONN_MAX_AGE": maximum_age}}
        )

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return self.handler["default"]

    def query(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    def wrong_query(self) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    def leave_transaction_open(self) -> None:
        self.query()
        self.connection.set_autocommit(False)

    def let_age_pass(self) -> None:
        self.connection.close_at = time.monotonic()

    def break_connection(self) -> None:
        """As when the server went away: the driver's connection is dead, and Django has noticed an error."""
        self.query()
        self.connection.connection.close()
        with pytest.raises(django.db.Error):
            self.query()

    def is_open(self) -> bool:
        return self.connection.connection is not None

    def close(self) -> None:
        self.connection.close()


@pytest.fixture(params=[0, 5, None], ids=["CONN_MAX_AGE=0", "CONN_MAX_AGE=5", "CONN_MAX_AGE=None"])
def maximum_age(request: pytest.FixtureRequest) -> int | None:
    age: int | None = request.param
    return age


@pytest.fixture
def database(
    tmp_path: Path, maximum_age: int | None, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> Iterator[Database]:
    made = Database(tmp_path / "db.sqlite3", maximum_age)
    monkeypatch.setattr(django.db, "connections", made.handler)
    with django_db_blocker.unblock():
        yield made
        asyncio.run(sync_to_async(made.close)())


class Consumer(AsyncConsumer):  # type: ignore[misc]  # Channels is untyped
    """Calls what the message holds."""

    async def call(self, message: dict[str, Any]) -> None:
        await message["function"]()


async def nothing() -> None:
    pass


async def dispatch(function: Callable[[], Awaitable[Any]] = nothing) -> None:
    await Consumer().dispatch({"type": "call", "function": function})


def hops() -> float:
    return recorder.database_hops.values.get("", 0)


STEPS: dict[str, tuple[str, ...]] = {
    "a query": ("query",),
    "a query with an error": ("query", "wrong_query"),
    "a transaction left open": ("leave_transaction_open",),
    "the maximum age passed": ("query", "let_age_pass"),
    "a connection that broke": ("break_connection",),
}


async def state_after(
    database: Database, steps: tuple[str, ...], runner: Callable[..., Any]
) -> tuple[bool, bool, bool]:
    """Run the steps in handlers; return whether the connection is open, in error, in autocommit at the next handler."""
    for step in steps:
        try:
            await dispatch(lambda step=step: runner(getattr(database, step))())
        except django.db.Error:
            assert step == "wrong_query"
    seen: list[tuple[bool, bool, bool]] = []

    def look() -> None:
        connection = database.connection
        open_now = database.is_open()
        seen.append((open_now, connection.errors_occurred and open_now, connection.autocommit or not open_now))

    await dispatch(sync_to_async(look))
    await sync_to_async(database.close)()
    return seen[0]


@pytest.mark.parametrize(
    "runner", [sync_to_async, database_sync_to_async], ids=["sync_to_async", "database_sync_to_async"]
)
@pytest.mark.parametrize("story", STEPS)
async def test_the_next_handler_finds_the_connection_as_upstream_leaves_it(
    database: Database, story: str, runner: Callable[..., Any]
) -> None:
    ours = await state_after(database, STEPS[story], runner)
    database_hop.remove()
    assert ours == await state_after(database, STEPS[story], runner)


async def test_without_a_database_no_message_hops() -> None:
    before = hops()
    for _ in range(100):
        await dispatch()
    assert hops() == before


async def test_a_query_per_message_with_a_connection_that_is_closed_after_it_needs_no_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    database = Database(tmp_path / "db.sqlite3", 0)
    monkeypatch.setattr(django.db, "connections", database.handler)
    before = hops()
    with django_db_blocker.unblock():
        for _ in range(20):
            await dispatch(database_sync_to_async(database.query))
    assert hops() == before


async def test_a_burst_over_a_persistent_connection_hops_once_a_period_and_once_more_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, django_db_blocker: Any
) -> None:
    monkeypatch.setattr(open_connections, "PERIOD_SECONDS", 0.2)
    database = Database(tmp_path / "db.sqlite3", None)
    monkeypatch.setattr(django.db, "connections", database.handler)
    with django_db_blocker.unblock():
        await dispatch(sync_to_async(database.query))
        before, started = hops(), time.monotonic()
        for _ in range(50):
            await dispatch()
        assert hops() - before <= 1 + (time.monotonic() - started) / 0.2
        [destination] = database_hop._destinations.values()
        while destination.timer is None:
            await dispatch()
        after_burst = hops()
        await until(lambda: hops() > after_burst and destination.task is None)
        await sync_to_async(database.close)()
    assert hops() == after_burst + 1


async def test_it_calls_the_name_that_test_communicators_replace(database: Database) -> None:
    await sync_to_async(database.query)()
    with mock.patch("channels.db.close_old_connections") as replaced:
        await dispatch()
    replaced.assert_called_once_with()


async def end_of_a_websocket() -> None:
    with pytest.raises(StopConsumer):
        await AsyncWebsocketConsumer().websocket_disconnect({"type": "websocket.disconnect", "code": 1000})


async def test_a_websocket_that_ends_makes_no_hop_while_nothing_is_open() -> None:
    before = hops()
    await end_of_a_websocket()
    assert hops() == before


@pytest.mark.parametrize("maximum_age", [0], indirect=True)
async def test_what_a_websocket_has_opened_is_looked_after_at_its_end(database: Database) -> None:
    await sync_to_async(database.query)()
    assert await sync_to_async(database.is_open)()
    await end_of_a_websocket()
    assert not await sync_to_async(database.is_open)()


def test_it_is_not_applied_to_a_dispatch_that_was_not_tested(caplog: pytest.LogCaptureFixture) -> None:
    database_hop.remove()

    async def other(self: AsyncConsumer, message: dict[str, Any]) -> None: ...

    with mock.patch.object(AsyncConsumer, "dispatch", other), caplog.at_level(logging.WARNING):
        assert not database_hop.apply()
    assert channels.consumer.aclose_old_connections is channels.db.aclose_old_connections
    assert "SKIP_DATABASE_HOP" in caplog.text
