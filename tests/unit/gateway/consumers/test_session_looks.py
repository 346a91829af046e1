"""Channels' session middleware with and without our patch: the same, but for looks that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import channels.auth
import pytest
from channels import sessions
from channels.auth import AuthMiddlewareStack
from channels.db import DatabaseSyncToAsync
from channels.sessions import CookieMiddleware, InstanceSessionWrapper, SessionMiddleware
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends import signed_cookies
from django.test.utils import override_settings

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.session import session_stack
from realtime_gateway.consumers import session_looks
from realtime_gateway.consumers.known_source import digest

ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    session_looks.remove()
    assert session_looks.apply()
    yield
    session_looks.remove()
    assert session_looks.apply()


class Looks:
    """Counts what is asked of sessions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        is_empty = signed_cookies.SessionStore.is_empty

        def counted(session: signed_cookies.SessionStore) -> bool:
            self.count += 1
            return bool(is_empty(session))

        monkeypatch.setattr(signed_cookies.SessionStore, "is_empty", counted)


async def answers(kind: str, *messages: dict[str, Any]) -> list[dict[str, Any]]:
    """What comes out of the middleware when an application that has changed its session sends this."""
    sent: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scope["session"]["seen"] = True
        for message in messages:
            await send(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody asks")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    with override_settings(SESSION_ENGINE=ENGINE):
        await CookieMiddleware(SessionMiddleware(application))({"type": kind, "headers": []}, receive, send)
    return sent


async def test_a_message_to_a_websocket_passes_without_a_look_at_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, message = Looks(monkeypatch), {"type": "websocket.send", "text": "hello"}
    assert await answers("websocket", message) == [message]
    assert looks.count == 0
    session_looks.remove()
    assert await answers("websocket", message) == [message]
    assert looks.count == 1, "which Channels has"


async def test_a_response_saves_the_session_and_sets_its_cookie() -> None:
    [start] = await answers("http", {"type": "http.response.start", "status": 200, "headers": []})
    [(name, value)] = start["headers"]
    assert name == b"Set-Cookie"
    assert value.startswith(b"sessionid=")


async def test_a_subclass_that_saves_with_each_message_still_does(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = []
    monkeypatch.setattr(InstanceSessionWrapper, "save_message_types", ["websocket.send"])
    monkeypatch.setattr(signed_cookies.SessionStore, "save", lambda *_, **__: saved.append(1))
    assert len(await answers("websocket", {"type": "websocket.send", "text": "hello"})) == 1
    assert saved


async def test_a_message_without_a_type_is_the_error_that_it_was() -> None:
    with pytest.raises(KeyError, match="type"):
        await answers("websocket", {"text": "hello"})


class Hops:
    """Counts what goes to a thread for a user, and answers in its place: no database is open in these tests."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        async def counted(hop: Any, *args: Any, **kwargs: Any) -> Any:
            self.count += 1
            return {"get_user": AnonymousUser(), "session_identity": Identity(AnonymousUser())}[hop.func.__name__]

        monkeypatch.setattr(DatabaseSyncToAsync, "__call__", counted)


async def visitor(stack: Any, cookie: str) -> Any:
    """The user that an application sees behind a stack."""
    users = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        users.append(scope["user"])

    async def receive() -> dict[str, Any]:
        raise AssertionError("nobody asks")

    async def send(message: dict[str, Any]) -> None:
        raise AssertionError("nobody says anything")

    with override_settings(SESSION_ENGINE=ENGINE):
        headers = [(b"cookie", b"sessionid=" + cookie.encode())] if cookie else []
        await stack(application)({"type": "websocket", "headers": headers, "path": "/"}, receive, send)
    return users[0]


@pytest.mark.parametrize("stack", [AuthMiddlewareStack, session_stack], ids=["Channels'", "ours"])
async def test_a_client_that_names_no_session_is_anonymous_without_a_thread(
    stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops = Hops(monkeypatch)
    assert (await visitor(stack, "")).is_anonymous
    assert hops.count == 0
    assert (await visitor(stack, "a-key-that-may-be-one")).is_anonymous
    assert hops.count == 1, "the session is looked into"


async def test_without_the_patch_each_goes_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    session_looks.remove()
    hops = Hops(monkeypatch)
    assert (await visitor(AuthMiddlewareStack, "")).is_anonymous
    assert hops.count == 1


async def test_a_user_who_is_put_into_a_session_without_a_key_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    hops, session = Hops(monkeypatch), signed_cookies.SessionStore(None)
    assert (await channels.auth.get_user({"session": session})).is_anonymous
    assert hops.count == 0
    session[SESSION_KEY] = "1"
    await channels.auth.get_user({"session": session})
    assert hops.count == 1


async def test_what_is_no_session_of_djangos_is_left_to_channels(monkeypatch: pytest.MonkeyPatch) -> None:
    hops = Hops(monkeypatch)
    await channels.auth.get_user({"session": {}})
    await channels.auth.get_user({})
    assert hops.count == 2


def test_the_setting_leaves_channels_as_it_is() -> None:
    session_looks.remove()
    with override_settings(REALTIME_GATEWAY={"SKIP_SESSION_LOOK": False}):
        session_looks.apply_as_set()
    assert sessions.InstanceSessionWrapper.send is not session_looks.send
    session_looks.apply_as_set()
    assert sessions.InstanceSessionWrapper.send is session_looks.send


def test_a_version_that_is_not_known_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    session_looks.remove()
    with mock.patch.object(session_looks, "KNOWN_SOURCES", frozenset()):
        assert not session_looks.apply()
    assert sessions.InstanceSessionWrapper.send is not session_looks.send
    assert "SKIP_SESSION_LOOK" in caplog.text


def test_what_has_no_source_is_not_known() -> None:
    assert digest(digest) not in ("", digest(digest, digest))
    assert digest(digest, len) == ""
