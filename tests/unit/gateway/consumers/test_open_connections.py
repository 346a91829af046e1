"""Which thread must look after its database connections, and when; the connections are stand-ins, as no time passes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from realtime_gateway.consumers.open_connections import Look, OpenConnections

HERE = threading.get_ident()


@dataclass(eq=False)
class Connection:
    """The attributes of Django's wrapper that its own rule reads."""

    connection: object | None = field(default_factory=object)
    errors_occurred: bool = False
    autocommit: bool = True
    close_at: float | None = None
    settings_dict: dict[str, Any] = field(default_factory=lambda: {"AUTOCOMMIT": True})


def opened(*connections: Connection) -> OpenConnections:
    found = OpenConnections()
    for connection in connections:
        found.opened(cast(BaseDatabaseWrapper, connection))
    return found


def test_while_nothing_is_open_nobody_looks() -> None:
    assert not opened().connections
    assert opened().look(HERE, 0.0) is Look.NEVER


def test_a_new_connection_is_looked_at_once_and_then_once_a_period() -> None:
    connection = Connection()
    found = opened(connection)
    assert found.look(HERE, 0.0) is Look.NOW
    found.looked(HERE, 10.0)
    assert found.look(HERE, 10.9) is Look.LATER
    assert found.next_look(HERE) == 11.0
    assert found.look(HERE, 11.0) is Look.NOW


def test_a_closed_connection_is_forgotten() -> None:
    connection = Connection()
    found = opened(connection)
    connection.connection = None
    assert found.look(HERE, 0.0) is Look.NEVER
    assert not found.connections


def test_a_connection_that_ended_with_its_thread_is_forgotten() -> None:
    found = opened(Connection())
    assert found.look(HERE, 0.0) is Look.NEVER


@pytest.mark.parametrize(
    ("trouble", "value"),
    [("errors_occurred", True), ("autocommit", False), ("close_at", 10.5)],
    ids=["an error", "autocommit left off", "its maximum age"],
)
def test_what_django_would_close_is_looked_at_at_once(trouble: str, value: object) -> None:
    connection = Connection()
    found = opened(connection)
    found.looked(HERE, 10.0)
    assert found.look(HERE, 10.5) is Look.LATER
    setattr(connection, trouble, value)
    assert found.look(HERE, 10.5) is Look.NOW


def test_what_stays_open_all_the_same_waits_for_the_period() -> None:
    connection = Connection(close_at=5.0)
    found = opened(connection)
    found.looked(HERE, 10.0)
    assert found.look(HERE, 10.1) is Look.LATER


def test_another_threads_connections_are_not_this_threads_business() -> None:
    connection = Connection()
    found = opened(connection)
    assert found.look(HERE + 1, 0.0) is Look.NEVER


def test_a_thread_not_known_yet_looks_as_long_as_anything_is_open() -> None:
    connection = Connection()
    found = opened(connection)
    found.looked(HERE, 10.0)
    assert found.look(None, 10.1) is Look.NOW


def test_a_connection_that_is_opened_again_is_new_again() -> None:
    connection = Connection()
    found = opened(connection)
    found.looked(HERE, 10.0)
    found.opened(cast(BaseDatabaseWrapper, connection))
    assert found.look(HERE, 10.1) is Look.NOW
