"""Takes the thread hop out of Channels' dispatch while no database connection is open.

Before each message that a consumer handles, ``AsyncConsumer.dispatch`` goes to a thread and back, to close the database
connections there that broke or grew too old: some 60 µs of CPU per message, although most have nothing to look at. Here
dispatch looks first, without leaving the event loop, and goes only where there is something to do:

- no connection is open in the thread that the hop would go to: no hop;
- a connection was opened since the last hop, had an error, was left outside autocommit, or is older than CONN_MAX_AGE:
  a hop, exactly as upstream's;
- otherwise (persistent connections in good order) one hop a second, so that health checks and backends with rules of
  their own get their turn; messages that went without are made up for by one hop at the end of that second.

A WebSocket's consumer does the same once more when its client has left; there it is looked as well.

The patch replaces the name ``aclose_old_connections`` in ``channels.consumer`` and in ``channels.generic.websocket``,
and nothing else. It is applied only to versions of Channels whose source is known, and
``REALTIME_GATEWAY = {"SKIP_DATABASE_HOP": False}`` turns it off.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import channels
import channels.consumer
import channels.db
import channels.generic.websocket
from asgiref.sync import SyncToAsync, sync_to_async
from django.conf import settings
from django.db import connections
from django.db.backends.signals import connection_created

from realtime_gateway.consumers.known_source import digest
from realtime_gateway.consumers.open_connections import Look, OpenConnections
from realtime_gateway.settings import gateway_settings
from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.consumers")

# Of the two functions that the patch relies on, as they are in Channels 4.3.0, 4.3.1 and 4.3.2.
KNOWN_SOURCES = frozenset({"4f4f6ffedcf40f3975f125f7708826fd1d7138ee51a3d9288471fa39b9ddef9d"})


_CALLERS: tuple[Any, ...] = (channels.consumer, channels.generic.websocket)


@dataclass
class Destination:
    """Where hops from one event loop (or asgiref ThreadSensitiveContext) go.

    Attributes:
        thread: the identity of the thread, known after the first hop.
        timer: set for the hop that makes up for those left out in this period.
        task: that hop, while it runs.
    """

    thread: int | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None


_open = OpenConnections()
_destinations: MutableMapping[object, Destination] = weakref.WeakKeyDictionary()


def apply_as_set() -> None:
    """Apply the patch unless the settings say otherwise; for a process that has its settings."""
    if settings.configured and gateway_settings().skip_database_hop:
        apply()


def apply() -> bool:
    """Apply the patch and say whether it is in place; a second call changes nothing."""
    if channels.consumer.aclose_old_connections is look_after_connections:
        return True
    if digest(channels.consumer.AsyncConsumer.dispatch, channels.consumer.aclose_old_connections) not in KNOWN_SOURCES:
        logger.warning(
            "Channels %s dispatches in a way that this version of realtime-gateway was not tested with, so each "
            "message still goes through a thread. Upgrade realtime-gateway, or set REALTIME_GATEWAY = "
            '{"SKIP_DATABASE_HOP": False} to leave it so without this warning.',
            channels.__version__,
        )
        return False
    connection_created.connect(_open.opened, dispatch_uid="realtime_gateway.database_hop")
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _open.opened(connection)
    for module in _CALLERS:
        if module.aclose_old_connections is channels.db.aclose_old_connections:
            module.aclose_old_connections = look_after_connections
    return True


def remove() -> None:
    """Give Channels its own function back."""
    for module in _CALLERS:
        module.aclose_old_connections = channels.db.aclose_old_connections
    connection_created.disconnect(dispatch_uid="realtime_gateway.database_hop")


async def look_after_connections() -> None:
    """Do what ``channels.db.aclose_old_connections`` does, where it would do anything."""
    if not _open.connections:  # as for most messages of most consumers
        return
    destination = _destination()
    match _open.look(destination.thread, time.monotonic()):
        case Look.NOW:
            await _hop(destination)
        case Look.LATER:
            _hop_at_the_end_of_the_period(destination)
        case Look.NEVER:
            pass


def _destination() -> Destination:
    # asgiref sends thread-sensitive calls to the context's thread if there is one, else to one that the loop decides.
    key: object = SyncToAsync.thread_sensitive_context.get(None) or asyncio.get_running_loop()
    found = _destinations.get(key)
    if found is None:
        found = _destinations[key] = Destination()
    return found


async def _hop(destination: Destination) -> None:
    if destination.timer is not None:
        destination.timer.cancel()
        destination.timer = None
    recorder.database_hops.add()
    destination.thread = await _close_old_connections()


@sync_to_async
def _close_old_connections() -> int:
    thread = threading.get_ident()
    try:
        # Through its module: channels.testing's communicators replace that name, to keep a test's transaction open.
        channels.db.close_old_connections()
    finally:
        _open.looked(thread, time.monotonic())
    return thread


def _hop_at_the_end_of_the_period(destination: Destination) -> None:
    if destination.timer is not None or destination.thread is None:
        return
    if SyncToAsync.thread_sensitive_context.get(None) is not None:
        return  # such a context ends with its thread, and its connections with that
    delay_seconds = _open.next_look(destination.thread) - time.monotonic()
    loop = asyncio.get_running_loop()
    destination.timer = loop.call_later(max(0.0, delay_seconds), _start_trailing_hop, destination)


def _start_trailing_hop(destination: Destination) -> None:
    destination.timer = None
    destination.task = asyncio.get_running_loop().create_task(_trailing_hop(destination))


async def _trailing_hop(destination: Destination) -> None:
    try:
        if _open.look(destination.thread, time.monotonic()) is not Look.NEVER:
            await _hop(destination)
    except Exception:
        logger.exception("Old database connections could not be closed")
    finally:
        destination.task = None
