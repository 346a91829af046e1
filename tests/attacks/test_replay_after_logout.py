"""What somebody tries with a WebSocket that is open already, or with a credential that held a moment ago."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection

from tests.attacks.conftest import SHOP, Shop, greeting, open_shop
from tests.support.conditions import until
from tests.support.redis_process import RedisProcess

DJANGO = "from django.contrib.auth.models import User, Group, Permission\n"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisProcess]:
    with RedisProcess() as process:
        yield process


@pytest.fixture(scope="module")
def shop(redis: RedisProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that hears of every change, and never looks by itself."""
    yield from open_shop(tmp_path_factory.mktemp("shop"), REDIS_URL=redis.url, SHOP_REVALIDATION_SECONDS="0")


@pytest.fixture(scope="module", params=["db", "cached_db", "signed_cookies"])
def looking_shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that hears of nothing, since its processes share no channel layer, and looks every half second."""
    engine = f"django.contrib.sessions.backends.{request.param}"
    yield from open_shop(
        tmp_path_factory.mktemp("looking"), SHOP_SESSION_ENGINE=engine, SHOP_REVALIDATION_SECONDS="0.5"
    )


def fresh_user(shop: Shop) -> dict[str, str]:
    """Make a user with every credential, and log it in."""
    made = json.loads(
        shop.python(
            DJANGO
            + """
import json, uuid
from importlib import import_module
from django.conf import settings
from django.contrib.auth import SESSION_KEY, BACKEND_SESSION_KEY, HASH_SESSION_KEY
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.tokens import RefreshToken
name = "user-" + uuid.uuid4().hex[:8]
user = User.objects.create_user(name, password=name)
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY] = str(user.pk)
session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
session[HASH_SESSION_KEY] = user.get_session_auth_hash()
session.save()
refresh = RefreshToken.for_user(user)
print(json.dumps({"name": name, "pk": str(user.pk), "session": session.session_key, "refresh": str(refresh),
    "simplejwt": str(refresh.access_token), "drf": Token.objects.create(user=user).key}))
"""
        )
    )
    return dict(made)


def way(kind: str, user: dict[str, str]) -> tuple[str, dict[str, Any]]:
    if kind == "session":
        return "/session/", {"additional_headers": {"Cookie": f"sessionid={user['session']}"}}
    if kind == "jwt":
        claims = {"sub": user["pk"], "iss": "shop", "aud": "chat", "exp": int(time.time()) + 600}
        return "/jwt/", {"additional_headers": {"Authorization": "Bearer " + jwt.encode(claims, "j" * 32, "HS256")}}
    return f"/{kind}/", {"additional_headers": {"Authorization": f"Bearer {user[kind]}"}}


async def open_as(shop: Shop, kind: str, user: dict[str, str]) -> ClientConnection:
    path, options = way(kind, user)
    socket = await shop.knock(path, **options)
    assert (await greeting(socket))["user"] == user["name"]
    return socket


async def ending(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(20):
        await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or ""


def change(shop: Shop, user: dict[str, str], code: str) -> None:
    shop.python(f"{DJANGO}user = User.objects.get(pk={user['pk']})\n{code}\n")


# What happens, to whom it happens, and what the client reads.
ENDS: dict[str, tuple[str, str, tuple[int, str]]] = {
    "the user is made inactive": ("session", "user.is_active = False; user.save()", (4401, "user no longer active")),
    "the user is made inactive, with a JWT": (
        "jwt", "user.is_active = False; user.save()", (4401, "user no longer active"),
    ),
    "the password is changed": ("session", "user.set_password('x'); user.save()", (4401, "credentials changed")),
    "the user is deleted": ("jwt", "user.delete()", (4401, "user deleted")),
    "the token is deleted": ("drf", "user.auth_token.delete()", (4401, "token revoked")),
    "the only refresh token is blacklisted": (
        "simplejwt",
        "from rest_framework_simplejwt.tokens import RefreshToken; RefreshToken('{refresh}').blacklist()",
        (4401, "logged out"),
    ),
    "a group is taken away": (
        "session",
        "g = Group.objects.get_or_create(name='staff')[0]; user.groups.add(g); user.groups.remove(g)",
        (4403, "permissions changed"),
    ),
    "a group loses a permission": (
        "drf",
        "g = Group.objects.create(name=f'g{user.pk}'); p = Permission.objects.first(); g.permissions.add(p);"
        "user.groups.add(g); g.permissions.remove(p)",
        (4403, "permissions changed"),
    ),
    "somebody revokes it in code": (
        "jwt", "from realtime_gateway.auth.revocation import revoke; revoke(user, 'ask again')", (4401, "ask again"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENDS)
async def test_an_open_socket_is_closed_when(what: str, shop: Shop) -> None:
    kind, code, expected = ENDS[what]
    user = fresh_user(shop)
    other = fresh_user(shop)
    socket, neighbour = await open_as(shop, kind, user), await open_as(shop, kind, other)
    await asyncio.to_thread(change, shop, user, code.format(**user) if "{refresh}" in code else code)
    assert await ending(socket) == expected
    await until(lambda: f"{user['name']} left with {expected[0]}" in shop.diary.read_text())
    await neighbour.send('"still here"')
    assert await neighbour.recv() == '"still here"'
    await neighbour.close()


async def test_a_logout_closes_the_sessions_sockets_and_the_cookie_opens_none(shop: Shop) -> None:
    user = fresh_user(shop)
    socket = await open_as(shop, "session", user)
    logout = (
        "from django.test import Client\n"
        f"client = Client(); client.cookies['sessionid'] = {user['session']!r}\n"
        "assert client.post('/logout/', headers={'host': 'shop.test'}).content == b'bye'"
    )
    await asyncio.to_thread(change, shop, user, logout)
    assert await ending(socket) == (4401, "logged out")
    path, options = way("session", user)
    assert await shop.user(path, **options) == ""


async def test_the_command_line_closes_all_of_a_user(shop: Shop) -> None:
    user = fresh_user(shop)
    sockets = [await open_as(shop, kind, user) for kind in ("session", "jwt", "drf", "simplejwt")]
    command = [sys.executable, "-m", "realtime_gateway.cli.main", "revoke", "--user", user["pk"], "--reason", "stolen"]
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=SHOP,
        env=shop.server.environment | {"PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [await ending(socket) for socket in sockets] == [(4401, "stolen")] * 4


async def test_a_jwt_that_expires_closes_its_socket(shop: Shop) -> None:
    claims = {"sub": shop.users["ann"]["pk"], "iss": "shop", "aud": "chat", "exp": int(time.time()) + 2}
    headers = {"Authorization": "Bearer " + jwt.encode(claims, "j" * 32, "HS256")}
    async with shop.knock("/jwt/", additional_headers=headers) as socket:
        assert (await greeting(socket))["user"] == "ann"
        assert await ending(socket) == (4401, "token expired")
        assert time.time() >= claims["exp"]


@pytest.mark.parametrize("desk", ["/desk/", "/slow-desk/"])
async def test_a_login_on_a_socket_is_saved_and_a_logout_leaves_nothing(desk: str, shop: Shop) -> None:
    def sessions() -> int:
        return int(shop.python("from django.contrib.sessions.models import Session; print(Session.objects.count())"))

    before = sessions()
    async with shop.knock(desk) as socket:

        async def say(word: str) -> str:
            await socket.send(word)
            return str(await socket.recv())

        assert await say("who") == "nobody"
        assert await say("in") == "ann"
        assert await asyncio.to_thread(sessions) == before + 1
        assert await say("out") == "nobody"
        assert await asyncio.to_thread(sessions) == before
        assert await say("in") == "ann"
        await asyncio.to_thread(shop.python, "from realtime_gateway.auth.revocation import revoke; revoke(1, 'out')")
        assert await ending(socket) == (4401, "out")


UNHEARD = {
    "users are made inactive in bulk": ("jwt", "User.objects.filter(pk=user.pk).update(is_active=False)"),
    "users are made inactive in bulk, who have sessions": (
        "session",
        "User.objects.filter(pk=user.pk).update(is_active=False)",
    ),
    "passwords are exchanged in bulk": ("session", "User.objects.filter(pk=user.pk).update(password='x')"),
}


async def test_what_nobody_was_told_of_is_found_by_looking(looking_shop: Shop) -> None:
    shop = looking_shop
    users = {what: fresh_user(shop) for what in UNHEARD}
    sockets = {what: await open_as(shop, kind, users[what]) for what, (kind, _) in UNHEARD.items()}
    for what, (_, code) in UNHEARD.items():
        await asyncio.to_thread(change, shop, users[what], code)
    assert [(await ending(socket))[0] for socket in sockets.values()] == [4401] * len(UNHEARD)
    assert shop.server.metric('realtime_gateway_revocations_total{reason="revalidated"}') >= len(UNHEARD)


async def test_looking_changes_no_session(looking_shop: Shop) -> None:
    shop = looking_shop
    user = fresh_user(shop)
    socket = await open_as(shop, "session", user)
    if "signed_cookies" not in shop.environment["SHOP_SESSION_ENGINE"]:
        read = "from django.contrib.sessions.models import Session; print(list(Session.objects.values_list()))"
        before = shop.python(read)
        await asyncio.to_thread(change, shop, user, "user.set_password('x'); user.save()")
        assert await ending(socket) == (4401, "credentials changed")
        assert shop.python(read) == before
    await socket.close()
