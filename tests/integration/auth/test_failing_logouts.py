"""A logout that fails leaves a WebSocket as it was: somebody's, who can be revoked, and whose token ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from tests.integration.auth.conftest import Sockets, ending

from realtime_gateway.auth import login
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.revocation import arevoke
from realtime_gateway.auth.watch import run_watched
from realtime_gateway.consumers import AsyncWebsocketConsumer
from realtime_gateway.security.denial import Application, Receive, Scope, Send


class StuckSession(SessionStore):
    """Whose store fails when it is to be deleted."""

    def flush(self) -> None:
        raise OSError("the session store does not answer")


class Desk(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        try:
            await login.logout(self.scope)
        except (OSError, ValueError) as error:
            await self.send(text_data=type(error).__name__)


def stack(user: User, expires_at: float | None, session: Any) -> Application:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        scope = {**scope, "user": user} | ({"session": session} if session is not None else {})
        await run_watched(Desk.as_asgi(), Identity(user, expires_at=expires_at), (scope, receive, send), 0.0)

    return run


@pytest.mark.parametrize("session", [None, StuckSession()], ids=["no session", "a store that fails"])
@pytest.mark.parametrize("by", ["a revocation", "its end"])
async def test_it_is_closed_all_the_same_by(
    by: str, session: Any, use_layer: Callable[..., Any], sockets: Sockets
) -> None:
    use_layer()
    user = await User.objects.acreate_user("ann")
    expires_at = time.time() + 3 if by == "its end" else None
    socket = await sockets.open(stack(user, expires_at, session))
    await socket.send_to(text_data="out")
    assert await socket.receive_from() == ("ValueError" if session is None else "OSError")
    if by == "a revocation":
        await arevoke(user)
    assert await ending(socket) == (4401, "logged out" if by == "a revocation" else "token expired")
