"""The middleware that all token stacks are, and that a custom one subclasses in ten lines."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

from channels.middleware import BaseMiddleware
from django.core.exceptions import PermissionDenied

from realtime_gateway.auth.identity import Identity, Rejected, digest
from realtime_gateway.auth.token_sources import FirstMessage, Header, Subprotocol, Token, TokenSource, find_token
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.security.denial import (
    RESPONSE,
    Application,
    Message,
    Reason,
    Receive,
    Scope,
    Send,
    deny,
    note_denial,
)
from realtime_gateway.security.site_functions import result_of

# When authentication began, in the scope on its way through here.
BEGAN = "realtime_gateway.began_at"


class TokenMiddleware(BaseMiddleware, ABC):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Finds a token, and puts its user into the scope, as ``scope["user"]``; who brings none is anonymous.

    A subclass has ``authenticate``, and mostly nothing else::

        class TicketMiddleware(TokenMiddleware):
            sources = (Query("ticket"),)

            def authenticate(self, token, scope):
                return Ticket.objects.redeem(token).user

    Attributes:
        sources: where a token may stand; all are looked at, and two different tokens are refused.
        required: refuse who brings no token.
    """

    sources: ClassVar[tuple[TokenSource, ...]] = (Header(), Subprotocol())
    required: ClassVar[bool] = False
    inner: Application

    def __init__(self, inner: Application, **attributes: Any) -> None:
        """Take attributes of the class too, for this instance: ``JwtMiddleware(inner, required=True)``."""
        super().__init__(inner)
        for name, value in attributes.items():
            if name.startswith("_") or not hasattr(type(self), name):
                raise TypeError(f"{type(self).__name__} has no attribute {name!r}.")
            setattr(self, name, value)

    @abstractmethod
    def authenticate(self, token: str, scope: Scope) -> Any:
        """Return whose token it is: a user, an ``Identity``, or None for nobody's. May be ``async``.

        One that is not runs in a thread, where it may use the database.

        Raises:
            Rejected: it is not accepted. An authentication error of Django REST framework, or PermissionDenied, says
                the same.
        """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, and hand the connection on or refuse it."""
        if scope["type"] not in ("websocket", "http"):
            await self.inner(scope, receive, send)
            return
        try:
            token = find_token(self.sources, scope)
        except Rejected as rejected:
            await deny(scope, receive, send, rejected.reason, rejected.message)
            return
        scope = {**scope, BEGAN: asyncio.get_running_loop().time()}
        waits = next((source for source in self.sources if isinstance(source, FirstMessage)), None)
        if token is None and waits is not None and scope["type"] == "websocket":
            await self._after_first_message(waits, scope, receive, send)
            return
        try:
            identity = await self._identify(token, scope)
        except Rejected as rejected:
            await deny(scope, receive, send, rejected.reason, rejected.message)
            return
        if token is not None and token.chosen_subprotocol is not None:
            send = choosing(token, send)
        await self._hand_on(identity, scope, receive, send)

    async def _identify(self, token: Token | None, scope: Scope) -> Identity:
        if token is None:
            if self.required:
                raise Rejected(Reason.TOKEN_MISSING, "it brings no token")
            return Identity(_nobody())
        found = await self._authenticated(token, scope)
        identity = found if isinstance(found, Identity) else Identity(found)
        return replace(identity, credential=identity.credential or digest(token.value))

    async def _authenticated(self, token: Token, scope: Scope) -> Any:
        try:
            found = await result_of(self.authenticate, token.value, scope)
        except PermissionDenied:
            raise Rejected(Reason.TOKEN_INVALID) from None
        except Rejected:
            raise
        except Exception as error:
            # Django REST framework's; not imported here, since it is optional.
            if getattr(error, "status_code", None) in (401, 403):
                raise Rejected(Reason.TOKEN_INVALID) from None
            raise
        if found is None:
            raise Rejected(Reason.TOKEN_INVALID, "its token is nobody's")
        return found

    async def _hand_on(self, identity: Identity, scope: Scope, receive: Receive, send: Send) -> None:
        scope = {**scope, "user": identity.user}
        await run_watched(self.inner, identity, (scope, receive, send), scope.pop(BEGAN))

    async def _after_first_message(self, waits: FirstMessage, scope: Scope, receive: Receive, send: Send) -> None:
        connect = await receive()
        await send({"type": "websocket.accept"})
        try:
            token = await self._first_token(waits, receive)
            if token is None:
                return
            identity = await self._identify(token, scope)
        except Rejected as rejected:
            note_denial(scope, rejected.reason, rejected.message)
            await send({"type": "websocket.close", "code": rejected.reason.close_code, "reason": rejected.reason.told})
            return
        # Nothing behind this can answer the handshake with a response any more.
        extensions = {name: value for name, value in (scope.get("extensions") or {}).items() if name != RESPONSE}
        scope = {**scope, "extensions": extensions}
        await self._hand_on(identity, scope, _giving_first(connect, receive), _accepted_already(send))

    async def _first_token(self, waits: FirstMessage, receive: Receive) -> Token | None:
        try:
            message = await asyncio.wait_for(receive(), waits.within_seconds)
        except TimeoutError:
            raise Rejected(Reason.TOKEN_MISSING, f"it sent no token within {waits.within_seconds:g} s") from None
        return waits.read(message.get("text")) if message["type"] == "websocket.receive" else None


def _nobody() -> Any:
    from django.contrib.auth.models import AnonymousUser

    return AnonymousUser()


def choosing(token: Token, send: Send) -> Send:
    """Answer with the marker where the consumer chooses nothing: a browser that offers subprotocols wants one back."""

    async def sending(message: Message) -> None:
        if message["type"] == "websocket.accept" and message.get("subprotocol") in (None, token.value):
            message = {**message, "subprotocol": token.chosen_subprotocol}
        await send(message)

    return sending


def _giving_first(first: Message, receive: Receive) -> Receive:
    waiting = [first]

    async def giving() -> Message:
        return waiting.pop() if waiting else await receive()

    return giving


def _accepted_already(send: Send) -> Send:
    """Swallow the consumer's accept; its refusal is a close by now."""
    accepted = False

    async def sending(message: Message) -> None:
        nonlocal accepted
        if message["type"] == "websocket.accept":
            accepted = True
        elif message["type"] == "websocket.close" and not accepted:
            code = message.get("code", 1000)
            await send({**message, "code": 4403 if code == 1000 else code})
        else:
            await send(message)

    return sending
