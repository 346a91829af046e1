"""The open WebSockets of this process by user and by credential, and the wrapper that can end each of them.

The end goes through the application's own ``send`` as a ``websocket.close``, so that on any ASGI server the client gets
the code, the application a ``websocket.disconnect``, and a consumer its ``disconnect()``. What a client still says
after that does not reach the consumer, and what the consumer still says does not reach the client.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.notices import Action, Notice, keys_of
from realtime_gateway.auth.remembered import Remembered
from realtime_gateway.endings import UNAUTHENTICATED, Ending
from realtime_gateway.security.denial import Message, Receive, Send
from realtime_gateway.security.limiting import CONNECTION
from realtime_gateway.security.user_keys import row_key
from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.security")

KEY = CONNECTION
# No handshake takes longer from its query for a user to the entry of its connection.
REMEMBERED_SECONDS = 60.0
REMEMBERED_KEYS = 100_000


class Connection:
    """One WebSocket, between server and application."""

    def __init__(self, identity: Identity, receive: Receive, send: Send) -> None:
        self.identity = identity
        self.began_at = 0.0
        self.ended = False
        self._receive = receive
        self._send = send
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def user_key(self) -> str:
        """As ``row_key`` has it; "" for nobody, and for users that are no rows."""
        return row_key(self.identity.user) or ""

    async def receive(self) -> Message:
        """Return the next message for the application."""
        while True:
            message = await self._receive()
            if not self.ended or message["type"] != "websocket.receive":
                return message

    async def send(self, message: Message) -> None:
        """Pass a message of the application on."""
        if not self.ended:
            await self._send(message)

    def end(self, ending: Ending, reason: str, label: str) -> None:
        """Close it; ``label`` is what ``realtime_gateway_revocations`` counts."""
        if self.ended:
            return
        self.ended = True
        recorder.revocations.add(1, label)
        self._closing = asyncio.create_task(self._close(ending.code, reason), name="realtime_gateway.revoke")

    async def _close(self, code: int, reason: str) -> None:
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except Exception as error:  # servers raise various errors for a socket that is closed already
            logger.debug("A revoked WebSocket was closed already: %r", error)

    def end_when_expired(self) -> None:
        """Set the timer of an identity that has an end."""
        self.forget_expiry()
        if self.identity.expires_at is not None:
            left = max(0.0, self.identity.expires_at - time.time())
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(left, self.end, UNAUTHENTICATED, "token expired", "expired")

    def forget_expiry(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()


class Registry:
    """The connections of one event loop."""

    def __init__(self) -> None:
        # Each with its keys: those of a user that is deleted change while it is connected.
        self._keys: dict[Connection, tuple[str, ...]] = {}
        self._by_key: dict[str, set[Connection]] = {}
        self._remembered = Remembered(REMEMBERED_SECONDS, REMEMBERED_KEYS)
        self._to_check: set[Connection] = set()
        self.checks = asyncio.Event()

    @property
    def connections(self) -> Collection[Connection]:
        """All of them that can be revoked."""
        return self._keys.keys()

    def add(self, connection: Connection, began_at: float) -> None:
        """Enter a connection whose authentication began at a time of the loop; what was said since holds for it."""
        connection.began_at = began_at
        connection.end_when_expired()
        keys = tuple(keys_of(filter(None, (connection.user_key,)), connection.identity.credential))
        if not keys:
            return  # nobody, who cannot be revoked
        self._keys[connection] = keys
        for key in keys:
            self._by_key.setdefault(key, set()).add(connection)
        for heard_at, notice in self._remembered.about(keys):
            if notice.concerns(heard_at, began_at):
                self._perform(notice, (connection,))

    def remove(self, connection: Connection) -> None:
        """Forget a connection."""
        self._to_check.discard(connection)
        connection.forget_expiry()
        for key in self._keys.pop(connection, ()):
            left = self._by_key[key]
            left.discard(connection)
            if not left:
                del self._by_key[key]

    def apply(self, notice: Notice, age_seconds: float = 0.0) -> None:
        """Do what a notice says, which was said so long ago."""
        now = asyncio.get_running_loop().time()
        heard_at = now - age_seconds
        self._remembered.add(now, heard_at, notice)
        found = {connection for key in notice.about() for connection in self._by_key.get(key, ())}
        self._perform(notice, [one for one in found if notice.concerns(heard_at, one.began_at)])

    def check(self, connections: Iterable[Connection]) -> None:
        """Have connections looked at soon."""
        self._to_check.update(connections)
        if self._to_check:
            self.checks.set()

    def check_everybody(self) -> None:
        """Have all looked at, since notices may be missing; what their users may do is asked anew as well."""
        for connection in self.connections:
            forget_permissions(connection.identity.user)
        self.check(self.connections)

    def take_checks(self) -> list[Connection]:
        """Return what is to be looked at, once."""
        taken, self._to_check = list(self._to_check), set()
        self.checks.clear()
        return taken

    def _perform(self, notice: Notice, connections: Iterable[Connection]) -> None:
        match notice.action:
            case Action.END:
                for connection in connections:
                    connection.end(notice.ending, notice.reason, "revoked")
            case Action.CHECK:
                self.check(connections)
            case Action.REFRESH:
                for connection in connections:
                    forget_permissions(connection.identity.user)


_REGISTRIES: WeakKeyDictionary[asyncio.AbstractEventLoop, Registry] = WeakKeyDictionary()


def registry() -> Registry:
    """Return the registry of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _REGISTRIES:
        _REGISTRIES[loop] = Registry()
    return _REGISTRIES[loop]


def tell_here(notice: Notice) -> None:
    """Apply a notice to every registry of this process, from any thread."""
    for loop, found in list(_REGISTRIES.items()):
        if not loop.is_closed():
            with suppress(RuntimeError):  # it has been closed since
                loop.call_soon_threadsafe(found.apply, notice)


def forget_permissions(user: Any) -> None:
    """Drop what ModelBackend keeps on a user."""
    kept = getattr(user, "__dict__", {})
    for name in ("_perm_cache", "_user_perm_cache", "_group_perm_cache"):
        kept.pop(name, None)
