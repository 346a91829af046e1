"""The middleware that keeps clients to ``security.limits``: around the auth stack by address, inside it by user.

``gateway_application`` puts them where they belong. In an ``asgi.py`` of your own::

    AddressLimiting(session_stack(UserLimiting(URLRouter(...), Limits(...))), Limits(...))

Messages are held against the limits when the application takes them. One that waits holds up those behind it, until the
server reads no further and the client meets TCP's backpressure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from realtime_gateway.endings import POLICY
from realtime_gateway.resource.limits import Limits
from realtime_gateway.security.addresses import counted_as
from realtime_gateway.security.denial import Application, Message, Receive, Scope, Send
from realtime_gateway.security.lease import ASK
from realtime_gateway.security.limiter import Arrivals, Limiter, SharedTokens
from realtime_gateway.security.message_rates import (
    Above,
    Bucket,
    MessageRates,
    Named,
    Rate,
    held_against,
    numbers,
    rates_of,
)
from realtime_gateway.security.user_keys import row_key
from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.security")

# What holds a WebSocket's messages against its rates, in its scope.
KEY = "realtime_gateway.limited_messages"

# What of a scope can end a WebSocket whose messages are held: the wrapper of the auth stack.
CONNECTION = "realtime_gateway.connection"

# How long a message waits before it is looked at again whether its client is still there.
LOOK_SECONDS = 0.5

_LIMITERS: dict[asyncio.AbstractEventLoop, Limiter] = {}


class Revocable(Protocol):
    """Who knows that a WebSocket is closed because its user may no longer be here."""

    @property
    def ended(self) -> bool:
        """Whether nothing that its client has said may reach the application any more."""


def limiter() -> Limiter:
    """Return that of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _LIMITERS:
        for closed in [other for other in list(_LIMITERS) if other.is_closed()]:
            _LIMITERS.pop(closed, None)  # weak references would not do: a limiter holds its loop
        _LIMITERS[loop] = Limiter(loop, logger)
    return _LIMITERS[loop]


class AddressLimiting:
    """Keeps each client address to ``limits.per_address``; WebSockets only.

    Args:
        inner: the application, with its auth stack: who is refused here costs no look at a session.
        limits: of the resource.
    """

    def __init__(self, inner: Application, limits: Limits) -> None:
        self._inner = inner
        self._arrivals = Arrivals(limits.per_address)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a client in, or refuse it with 429."""
        client = scope.get("client")
        if scope["type"] != "websocket" or not client:  # one of a Unix socket has no address
            await self._inner(scope, receive, send)
            return
        await limiter().run(self._arrivals, f"a:{counted_as(client[0])}", self._inner, (scope, receive, send))


class UserLimiting:
    """Keeps each connection to ``limits.per_connection``, and each user who is logged in to ``limits.per_user``.

    Who logs in or out on the WebSocket itself, with ``auth.login``, is held to the rates of messages of who it then is.

    Args:
        inner: the application.
        limits: of the resource.
    """

    def __init__(self, inner: Application, limits: Limits) -> None:
        self._inner = inner
        self._own = rates_of(limits.per_connection)
        self._users = rates_of(limits.per_user)
        self._arrivals = Arrivals(limits.per_user)
        for limit, _ in (*self._own, *self._users):
            recorder.limits_met.add(0, limit)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a user in, or refuse it with 429 (1008 where the WebSocket is open already)."""
        if scope["type"] != "websocket":
            await self._inner(scope, receive, send)
            return
        user = user_key(scope.get("user"))
        if user is None:
            await self._run(scope, receive, send)
        else:
            await limiter().run(self._arrivals, f"u:{user}", self._run, (scope, receive, send))

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._own and not self._users:
            await self._inner(scope, receive, send)
            return
        own = [held_against(limit, rate, Bucket(*numbers(rate))) for limit, rate in self._own]
        messages = LimitedMessages(own, self._users, scope, receive, send)
        messages.belong_to(user_key(scope.get("user")))
        try:
            await self._inner({**scope, KEY: messages}, messages.receive, messages.send)
        finally:
            messages.belong_to(None)


def user_changed(scope: Scope) -> None:
    """Hold a WebSocket to the limits of who its user is now."""
    if KEY in scope:
        scope[KEY].belong_to(user_key(scope.get("user")))


def user_key(user: object) -> str | None:
    """Return what tells a user from all others, or None for nobody."""
    if not getattr(user, "is_authenticated", False):
        return None
    key = row_key(user)
    if key is not None:
        return key
    name: Callable[[], str] | None = getattr(user, "get_username", None)
    return name() if name is not None else None


class LimitedMessages:
    """Between server and application: what a client says is held against its rates.

    Args:
        own: the rates of the connection.
        users: those of each user.
        scope: whose it is, for the log.
        receive: of the server.
        send: of the server.
    """

    def __init__(self, own: Sequence[Rate], users: Sequence[Named], scope: Scope, receive: Receive, send: Send) -> None:
        self._own = tuple(own)
        self._users = users
        self._rates = MessageRates(own)
        self._shared: list[SharedTokens] = []  # of the user to whom it belongs
        self._scope = scope
        self._receive = receive
        self._send = send
        self._now = asyncio.get_running_loop().time
        self._waiting: Message | None = None  # kept, should whoever receives it be cancelled
        self._is_told = False
        self._ended = False

    def belong_to(self, user: str | None) -> None:
        """Hold what is said from now on against the rates of a user, or of nobody."""
        found, before = limiter(), self._shared
        users = self._users if user is not None else ()
        self._shared = [found.tokens(f"{limit}:{user}", numbers(rate)) for limit, rate in users]
        held = [held_against(limit, rate, tokens) for (limit, rate), tokens in zip(users, self._shared, strict=True)]
        self._rates = MessageRates([*self._own, *held])
        for tokens in before:
            found.let_go(tokens)

    async def receive(self) -> Message:
        """Return the next message that may pass."""
        while True:
            message = self._waiting
            if message is None:
                message = await self._receive()
            elif self._is_revoked():
                self._not_passed()
                continue
            if message["type"] != "websocket.receive":
                return message
            if self._ended:
                continue
            above = self._rates.ask(_size_bytes(message), self._now())
            if above is None:
                self._waiting = None
                self._is_told = False
                return message
            self._waiting = message
            await self._held_up(above)

    async def send(self, message: Message) -> None:
        """Pass a message of the application on, unless the client has been closed for what it sent."""
        if not self._ended:
            await self._send(message)

    async def _held_up(self, above: Above) -> None:
        tokens, policy = above.rate.tokens, above.rate.policy
        if above.wait_seconds == ASK:
            assert isinstance(tokens, SharedTokens)
            await tokens.fetched(above.cost)
            return
        if not self._is_told:
            self._is_told = True
            what = {"drop": "a message is dropped", "delay": "a message waits", "close": "closed with 1008"}[policy]
            limiter().log.met(above.rate.limit, self._who(), what)
        if policy == "delay" and not self._client_left():
            await asyncio.sleep(min(above.wait_seconds, LOOK_SECONDS))
            return
        self._not_passed()
        if policy == "close":
            self._ended = True
            await self._close(above.rate.told)

    def _not_passed(self) -> None:
        self._waiting, self._is_told = None, False
        self._rates.dropped()

    async def _close(self, reason: str) -> None:
        try:
            await self._send({"type": "websocket.close", "code": POLICY.code, "reason": reason})
        except Exception as error:  # servers raise various errors for a socket that is closed already
            logger.debug("A WebSocket above its limits was closed already: %r", error)

    def _is_revoked(self) -> bool:
        # What came before it waits here, where the auth stack sees it no more.
        connection: Revocable | None = self._scope.get(CONNECTION)
        return connection is not None and connection.ended

    def _client_left(self) -> bool:
        # Of this project's server: the application must hear that its client has left before it is given up.
        outbox = (self._scope.get("extensions") or {}).get("realtime_gateway.outbox")
        return getattr(outbox, "client_left", False)

    def _who(self) -> str:
        client = self._scope.get("client")
        user = user_key(self._scope.get("user"))
        address = str(client[0]) if client else "a client"
        return address if user is None else f"user {user!r} at {address}"


def _size_bytes(message: Message) -> int:
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    return len(text) if text.isascii() else len(text.encode())
