"""Watching over the connections of a process: hears revocations, and looks again from time to time.

One task of an event loop does both, from its first connection of a user to its last.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from channels.db import database_sync_to_async

from realtime_gateway.auth.connections import KEY, Connection, Registry, registry
from realtime_gateway.auth.hearing import hear
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.revalidation import refusals
from realtime_gateway.environment import read_environment
from realtime_gateway.resource import load_resource
from realtime_gateway.resource.spec import Auth
from realtime_gateway.security.denial import Application, Receive, Scope, Send
from realtime_gateway.settings import gateway_settings
from realtime_gateway.telemetry.socket_spans import note_handshake
from realtime_gateway.telemetry.spans import AUTH

logger = logging.getLogger("realtime_gateway.security")

AT_ONCE = 500  # SQLite takes 999 parameters, and a thread should not be held for long
# Several changes of one user in a row, such as a rotation of tokens, are looked at once.
SETTLE_SECONDS = 0.5
# After a failure.
AGAIN_SECONDS = 2.0

_TASKS: dict[Registry, asyncio.Task[None]] = {}


async def run_watched(
    inner: Application, identity: Identity, asgi: tuple[Scope, Receive, Send], began_at: float
) -> None:
    """Run an application with its identity in the scope; a WebSocket's can be revoked.

    Args:
        inner: the application.
        identity: who was found.
        asgi: scope, receive, send.
        began_at: when authentication began, by the loop's clock.
    """
    scope, receive, send = asgi
    scope = {**scope, "auth": identity}
    if scope["type"] != "websocket":
        await inner(scope, receive, send)
        return
    note_handshake(scope, AUTH, "authenticated" if getattr(identity.user, "is_authenticated", False) else "anonymous")
    connection = Connection(identity, receive, send)
    with _watched(connection, began_at):
        await inner({**scope, KEY: connection}, connection.receive, connection.send)


def change_identity(connection: Connection, identity: Identity, began_at: float | None = None) -> None:
    """Enter a connection under another user, whose authentication began at a time of the loop, or just now."""
    found = registry()
    found.remove(connection)
    connection.identity = identity
    found.add(connection, asyncio.get_running_loop().time() if began_at is None else began_at)
    _begin_or_end(found)


@contextmanager
def _watched(connection: Connection, began_at: float) -> Iterator[None]:
    found = registry()
    found.add(connection, began_at)
    _begin_or_end(found)
    try:
        yield
    finally:
        found.remove(connection)
        _begin_or_end(found)


def _begin_or_end(found: Registry) -> None:
    if found.connections and (found not in _TASKS or _TASKS[found].done()):
        # In a context of its own: whoever connects first must not have its traces go on in here for ever.
        context = contextvars.Context()
        _TASKS[found] = asyncio.get_running_loop().create_task(
            _watch(found), name="realtime_gateway.watch", context=context
        )
    elif not found.connections and found in _TASKS:
        _TASKS.pop(found).cancel()


async def _watch(found: Registry) -> None:
    async with asyncio.TaskGroup() as group:
        for job in (hear, _check_when_asked, _check_from_time_to_time):
            group.create_task(_kept_up(job, found))


async def _kept_up(job: Callable[[Registry], Awaitable[None]], found: Registry) -> None:
    """Do a job until it is done, and begin again when it fails: nobody else would notice that it is not done."""
    while True:
        try:
            await job(found)
        except Exception:
            logger.exception("Watching over connected users failed, and begins again")
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            return


async def _check_when_asked(found: Registry) -> None:
    while True:
        await found.checks.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        taken = found.take_checks()
        parts = [taken[start : start + AT_ONCE] for start in range(0, len(taken), AT_ONCE)]
        if not all([await _check(found, part) for part in parts]):
            await asyncio.sleep(AGAIN_SECONDS)


async def _check_from_time_to_time(found: Registry) -> None:
    period_seconds = _period_seconds()
    while period_seconds:
        connections = list(found.connections)
        parts = [connections[start : start + AT_ONCE] for start in range(0, len(connections), AT_ONCE)] or [[]]
        for part in parts:  # spread over the period
            await asyncio.sleep(period_seconds / len(parts))
            await _check(found, part)


async def _check(found: Registry, connections: Sequence[Connection]) -> bool:
    """Look at connections, and close those that may no longer be there.

    Where the database is away, all stay, to be looked at again soon.

    Returns:
        bool: whether they have been looked at.
    """
    try:
        answers = await database_sync_to_async(refusals)([connection.identity for connection in connections])
    except Exception as error:
        logger.warning("%d connected users could not be looked at yet: %s", len(connections), error)
        found.check(connection for connection in connections if connection in found.connections)
        return False
    for connection, refusal in zip(connections, answers, strict=True):
        if refusal is not None and connection in found.connections:
            connection.end(refusal[0], refusal[1], "revalidated")
    return True


def _period_seconds() -> float:
    given = gateway_settings().revalidation_period_seconds
    if given is not None:
        return given
    file = read_environment().resource_file
    return (load_resource(file).spec.auth if file else Auth()).revalidation_period_seconds
