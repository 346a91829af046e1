"""``login``, ``logout`` and ``get_user`` for consumers: Channels' own, with the session saved and others told.

    from realtime_gateway.auth.login import login, logout        # await login(self.scope, user)
    async_to_sync(login)(self.scope, user)                       # in a synchronous consumer

An open WebSocket cannot set a cookie. A login gives the session a new key, against session fixation, so that a browser
stays logged in only if the site hands it the cookie by HTTP; a login on a WebSocket is for the WebSocket.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import channels.auth
from channels.db import database_sync_to_async

from realtime_gateway.auth.connections import KEY, Connection
from realtime_gateway.auth.identity import Identity, digest
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.auth.revocation import tell
from realtime_gateway.auth.session_user import session_identity
from realtime_gateway.auth.watch import change_identity
from realtime_gateway.security.denial import Scope
from realtime_gateway.security.limiting import user_changed

WITHOUT_SESSION = "There is no session in the scope; wrap the consumer in session_stack."


async def login(scope: Scope, user: Any, backend: str | None = None) -> None:
    """Log a user in, save the session, and let the connection be revoked as this user's.

    Raises:
        ValueError: there is no session in the scope, or several backends and none is named.
    """
    await channels.auth.login(scope, user, backend)
    await database_sync_to_async(scope["session"].save)()
    await _follow(scope)


async def logout(scope: Scope) -> None:
    """Log out: the session is gone, its other connections are closed, and this one is nobody's.

    Raises:
        ValueError: there is no session in the scope.
    """
    if "session" not in scope:
        raise ValueError(WITHOUT_SESSION)
    key = scope["session"].session_key
    # First, so that what ends the session's connections leaves this one to its consumer.
    with _nobodys(scope.get(KEY)):
        await channels.auth.logout(scope)
        await _follow(scope)
    if key:
        await tell([Notice(Action.END, credential=digest(key))])


async def get_user(scope: Scope) -> Any:
    """Return the session's user, or AnonymousUser; never changes the session."""
    if "session" not in scope:
        raise ValueError(WITHOUT_SESSION)
    return (await database_sync_to_async(session_identity)(scope["session"])).user


@contextmanager
def _nobodys(connection: Connection | None) -> Iterator[None]:
    """Have a connection be nobody's; should what is done fail, it can be revoked, and expires, as before."""
    if connection is None:
        yield
        return
    before, began_at = connection.identity, connection.began_at
    change_identity(connection, Identity(None))
    try:
        yield
    except BaseException:
        # With its old time, so that what was said meanwhile holds for it.
        change_identity(connection, before, began_at)
        raise


async def _follow(scope: Scope) -> None:
    identity = await database_sync_to_async(session_identity)(scope["session"])
    scope["auth"] = identity
    user_changed(scope)
    if KEY in scope:
        change_identity(scope[KEY], identity)
