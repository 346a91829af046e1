"""What somebody tries with the tokens of allauth, dj-rest-auth and knox, behind the stacks of docs/auth.md."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection

from tests.attacks.conftest import Shop, greeting, open_shop

PASSWORD = "correct-horse-battery"
DJANGO = "from django.contrib.auth.models import User\n"
SESSION = "from django.contrib.sessions.backends.db import SessionStore\n"


@pytest.fixture(scope="module")
def looking_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop that looks every half second at what sends no signal."""
    yield from open_shop(tmp_path_factory.mktemp("looking"), SHOP_REVALIDATION_SECONDS="0.5")


class Visitor:
    """A new user of a shop, who logs in and out as its pages have it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.name = "user-" + uuid.uuid4().hex[:8]
        self.errand(f"User.objects.create_user({self.name!r}, password={PASSWORD!r})")
        self.cookies = httpx.Cookies()

    def errand(self, code: str) -> str:
        return self.shop.python(f"{DJANGO}{SESSION}name = {self.name!r}\n{code}\n").strip()

    def ask(self, method: str, page: str, **options: Any) -> httpx.Response:
        with httpx.Client(base_url=self.shop.server.url, cookies=self.cookies, trust_env=False) as client:
            answer = client.request(method, page, **options)
            self.cookies = client.cookies
        return answer

    def log_in(self, page: str) -> dict[str, Any]:
        answer = self.ask("POST", page, json={"username": self.name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def session_token(self) -> str:
        return str(self.log_in("/allauth/app/v1/auth/login")["meta"]["session_token"])

    def cookie(self) -> str:
        """The access token, which a browser has as a cookie."""
        self.log_in("/rest/login/")
        return self.cookies["jwt-auth"]


def with_session(token: str) -> dict[str, Any]:
    return {"additional_headers": {"X-Session-Token": token}}


def with_cookie(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Cookie": f"jwt-auth={token}"}}


def with_knox(token: str) -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"Token {token}"}}


async def open_as(visitor: Visitor, path: str, options: dict[str, Any]) -> ClientConnection:
    socket = await visitor.shop.knock(path, **options)
    assert (await greeting(socket))["user"] == visitor.name
    return socket


async def ending(socket: ClientConnection) -> tuple[int, str]:
    async with asyncio.timeout(20):
        await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or ""


def log_out_of_allauth(visitor: Visitor, token: str) -> None:
    """As an app does it; the answer says that nobody is logged in any more."""
    answer = visitor.ask("DELETE", "/allauth/app/v1/auth/session", headers={"X-Session-Token": token})
    assert answer.status_code == 401


async def test_a_session_token_of_allauth_opens_by_its_header_and_by_a_subprotocol_that_is_not_echoed(
    shop: Shop,
) -> None:
    visitor = Visitor(shop)
    token = visitor.session_token()
    assert await shop.user("/session-token/", **with_session(token)) == visitor.name
    async with shop.knock("/session-token/", subprotocols=["bearer", token]) as socket:
        assert (await greeting(socket))["user"] == visitor.name
        assert token not in str(socket.response)
    assert await shop.user("/session-token/") == ""
    assert token not in shop.server.output


# What became of the session whose token is brought.
SESSIONS = {
    "of a session that was logged out": log_out_of_allauth,
    "of a session that has expired": lambda visitor, token: visitor.errand(
        f"session = SessionStore({token!r}); session.set_expiry(-1); session.save()"
    ),
    "of a session whose user has another password": lambda visitor, token: visitor.errand(
        "user = User.objects.get(username=name); user.set_password('x'); user.save()"
    ),
    "of a session whose user is no longer active": lambda visitor, token: visitor.errand(
        "User.objects.filter(username=name).update(is_active=False)"
    ),
}


@pytest.mark.parametrize("of", SESSIONS)
async def test_it_is_refused_when_somebody_brings_the_token(of: str, shop: Shop) -> None:
    visitor = Visitor(shop)
    token = visitor.session_token()
    SESSIONS[of](visitor, token)
    before = shop.denied("token_invalid")
    assert await shop.status("/session-token/", **with_session(token)) == 401
    assert shop.denied("token_invalid") == before + 1


async def test_a_session_in_which_nobody_has_logged_in_is_nobody(shop: Shop) -> None:
    token = shop.python(SESSION + "s = SessionStore(); s['cart'] = 1; s.save(); print(s.session_key)").strip()
    assert await shop.status("/session-token/", **with_session(token)) == 401


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("a" * 32, "token_invalid"),
        ("a", "token_invalid"),
        ("' OR 1=1 --", "token_malformed"),
        ("a" * 9000, "token_malformed"),
        ("", "token_malformed"),
    ],
)
async def test_a_made_up_session_token_is_refused(token: str, reason: str, shop: Shop) -> None:
    before = shop.denied(reason)
    assert await shop.status("/session-token/", **with_session(token)) == 401
    assert shop.denied(reason) == before + 1


# What happens to who is connected with a session token, and what the client reads.
SESSION_ENDS = {
    "they log out": (log_out_of_allauth, "logged out"),
    "the password is changed": (SESSIONS["of a session whose user has another password"], "credentials changed"),
}


@pytest.mark.parametrize("what", SESSION_ENDS)
async def test_a_websocket_of_a_session_token_ends_when(what: str, shop: Shop) -> None:
    visitor = Visitor(shop)
    token = visitor.session_token()
    socket = await open_as(visitor, "/session-token/", with_session(token))
    happens, reason = SESSION_ENDS[what]
    happens(visitor, token)
    assert await ending(socket) == (4401, reason)


async def test_a_session_that_is_gone_without_a_signal_is_found_by_a_look(looking_shop: Shop) -> None:
    visitor = Visitor(looking_shop)
    token = visitor.session_token()
    socket = await open_as(visitor, "/session-token/", with_session(token))
    visitor.errand(f"SessionStore({token!r}).delete()")
    assert await ending(socket) == (4401, "logged out")


async def test_the_cookie_of_dj_rest_auth_opens_and_its_websocket_ends_with_the_logout(shop: Shop) -> None:
    visitor = Visitor(shop)
    socket = await open_as(visitor, "/cookie/", with_cookie(visitor.cookie()))
    assert visitor.ask("POST", "/rest/logout/").status_code == 200
    assert "jwt-auth" not in visitor.cookies
    assert await ending(socket) == (4401, "logged out")


async def test_a_changed_cookie_and_that_of_a_refresh_token_open_nothing(shop: Shop) -> None:
    visitor = Visitor(shop)
    token = visitor.cookie()
    header, claims, signature = token.split(".")
    for wrong in (f"{header}.{claims}.{signature[::-1]}", f"{header}.{claims}.", visitor.cookies["jwt-refresh"]):
        assert await shop.status("/cookie/", **with_cookie(wrong)) == 401


async def test_a_token_of_knox_whose_owner_logs_out_opens_nothing_and_its_websocket_is_found_by_a_look(
    looking_shop: Shop,
) -> None:
    visitor = Visitor(looking_shop)
    token = visitor.errand(
        "from knox.models import AuthToken; print(AuthToken.objects.create(User.objects.get(username=name))[1])"
    )
    socket = await open_as(visitor, "/knox/", with_knox(token))
    answer = visitor.ask("POST", "/knox-logout/", headers={"Authorization": f"Token {token}"})
    assert answer.status_code == 204, answer.text
    assert await ending(socket) == (4401, "token revoked")
    assert await looking_shop.status("/knox/", **with_knox(token)) == 401
