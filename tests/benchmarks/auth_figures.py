"""What authentication costs, each figure in a process of its own.

Run as a program: `python -m tests.benchmarks.auth_figures '{"figure": "jwt", …}'`. It prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from importlib import import_module
from pathlib import Path
from typing import Any

import django
from django.conf import settings

MESSAGES = 100


def set_up(directory: Path) -> None:
    """A site with sessions in a database."""
    settings.configure(
        SECRET_KEY="x" * 50,
        USE_TZ=True,
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(directory / "db.sqlite3")}},
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        REALTIME_GATEWAY={"REVALIDATION_PERIOD_SECONDS": 0},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    )
    django.setup()


async def jwt(checks: int) -> dict[str, float]:
    """One RS256 token again and again, by a published key that is known."""
    import jwt as pyjwt
    from cryptography.hazmat.primitives.asymmetric import rsa

    from realtime_gateway.auth.jwt import JwtMiddleware, JwtRules
    from realtime_gateway.auth.signing_keys import PublishedKeys

    class Known(JwtRules):
        def signing_keys(self) -> PublishedKeys:
            return PublishedKeys("https://id.example/jwks", get=lambda url: document)

    async def same(claims: Any) -> str:
        return "ann"

    private = rsa.generate_private_key(65537, 2048)
    key = {**json.loads(pyjwt.algorithms.RSAAlgorithm.to_jwk(private.public_key())), "kid": "a"}
    document = json.dumps({"keys": [key]}).encode()
    claims = {"sub": "1", "iss": "me", "aud": "chat", "exp": int(time.time()) + 86_400}
    token = pyjwt.encode(claims, private, "RS256", headers={"kid": "a"})
    rules = Known(jwks_url="https://id.example/jwks", issuer="me", audience="chat", user=same)
    stack = JwtMiddleware(nothing, rules=rules)
    await stack.authenticate(token, {})
    started = time.process_time()
    for _ in range(checks):
        await stack.authenticate(token, {})
    return {"cpu_us": (time.process_time() - started) / checks * 1e6}


async def session(connections: int, stack: str) -> dict[str, float]:
    """WebSockets of one session, each with some messages through the stack and no consumer.

    Args:
        connections: how many, one after the other.
        stack: the dotted path of what wraps the application.
    """
    from asgiref.sync import sync_to_async

    queries = Queries()
    cookie = await sync_to_async(logged_in)()
    module, _, name = stack.rpartition(".")
    application = getattr(import_module(module), name)(consuming)
    # As in a server, one is there already: what watches over connections begins with the first and ends with the last.
    staying = asyncio.create_task(stay(application, cookie))
    for _ in range(3):  # opens the database, and lets the one that stays have its queries
        await converse(application, cookie)
    queries.count = 0
    started = time.process_time()
    for _ in range(connections):
        await converse(application, cookie)
    staying.cancel()
    return {
        "queries": queries.count / connections,
        "cpu_us": (time.process_time() - started) / connections * 1e6,
    }


async def limits(messages: int) -> dict[str, float]:
    """Messages of one client through all four rates, none of which is met, beside the same without limits."""
    from types import SimpleNamespace

    from realtime_gateway.resource.limits import ByteRate, ConnectionLimits, Limits, MessageRate, UserLimits
    from realtime_gateway.security.limiting import UserLimiting

    many, much = MessageRate(1_000_000), ByteRate(1024**3)
    limited = UserLimiting(taking, Limits(ConnectionLimits(many, much), UserLimits(many, much)))
    scope = {"type": "websocket", "path": "/", "user": SimpleNamespace(is_authenticated=True, pk=1)}
    spent = []
    for application in (limited, taking, limited):  # the first is not counted
        coming = iter([{"type": "websocket.receive", "text": "hello"}] * messages + [{"type": "websocket.disconnect"}])

        async def receive(coming: Any = coming) -> Any:
            return next(coming)

        started = time.process_time()
        await application(scope, receive, no_send)
        spent.append((time.process_time() - started) / messages * 1e6)
    return {"cpu_us": spent[2] - spent[1]}


async def taking(scope: Any, receive: Any, send: Any) -> None:
    """Take every message."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def no_send(message: Any) -> None:
    """Never called: no limit is met."""
    raise AssertionError(message)


class Queries:
    """Counts queries on every connection that is opened from now on."""

    def __init__(self) -> None:
        from django.db.backends.signals import connection_created

        self.count = 0
        connection_created.connect(self._opened, weak=False)

    def _opened(self, connection: Any, **signal: Any) -> None:
        if self._execute not in connection.execute_wrappers:  # one that is opened again keeps them
            connection.execute_wrappers.append(self._execute)

    def _execute(self, execute: Callable[..., Any], *given: Any) -> Any:
        self.count += 1
        return execute(*given)


def logged_in() -> bytes:
    """Return the cookie of a user who has logged in."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    user = User.objects.create_user("ann")
    made = SessionStore()
    made[SESSION_KEY] = str(user.pk)
    made[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    made[HASH_SESSION_KEY] = user.get_session_auth_hash()
    made.save()
    return f"sessionid={made.session_key}".encode()


async def converse(application: Any, cookie: bytes) -> None:
    """One WebSocket from its handshake to its end."""
    said: list[dict[str, Any]] = [
        {"type": "websocket.connect"},
        *({"type": "websocket.receive", "text": "x"} for _ in range(MESSAGES)),
        {"type": "websocket.disconnect", "code": 1000},
    ]
    heard: list[Any] = []
    coming = iter(said)

    async def receive() -> Any:
        return next(coming)

    async def send(message: Any) -> None:
        heard.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)], "query_string": b""}
    await application(scope, receive, send)
    assert len(heard) == MESSAGES


async def stay(application: Any, cookie: bytes) -> None:
    """One WebSocket that says nothing."""

    async def receive() -> Any:
        await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        """It is told nothing."""

    scope = {"type": "websocket", "path": "/", "headers": [(b"cookie", cookie)], "query_string": b""}
    await application(scope, receive, send)


async def consuming(scope: Any, receive: Any, send: Any) -> None:
    """Echo, and look at the user now and then as a consumer does."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            assert scope["user"].is_authenticated
            await send({"type": "websocket.send", "text": message["text"]})


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """Never reached."""


FIGURES: dict[str, Callable[..., Coroutine[Any, Any, dict[str, float]]]] = {
    "jwt": jwt,
    "session": session,
    "limits": limits,
}


def main() -> None:
    """Read what to measure from the command line and print it."""
    arguments = json.loads(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="rtg-auth-") as directory:
        set_up(Path(directory))
        print(json.dumps(asyncio.run(FIGURES[arguments.pop("figure")](**arguments))))


if __name__ == "__main__":
    main()
