"""Channels' session middleware with and without our patch of its ``send``: the same, but for a look nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from channels import sessions
from channels.sessions import CookieMiddleware, InstanceSessionWrapper, SessionMiddleware
from django.contrib.sessions.backends import signed_cookies
from django.test.utils import override_settings

from realtime_gateway.consumers import session_sends
from realtime_gateway.consumers.known_source import digest

ENGINE = "django.contrib.sessions.backends.signed_cookies"


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    session_sends.remove()
    assert session_sends.apply()
    yield
    session_sends.remove()
    assert session_sends.apply()


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
    session_sends.remove()
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


def test_the_setting_leaves_channels_as_it_is() -> None:
    session_sends.remove()
    with override_settings(REALTIME_GATEWAY={"SKIP_SESSION_LOOK": False}):
        session_sends.apply_as_set()
    assert sessions.InstanceSessionWrapper.send is not session_sends.send
    session_sends.apply_as_set()
    assert sessions.InstanceSessionWrapper.send is session_sends.send


def test_a_version_that_is_not_known_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    session_sends.remove()
    with mock.patch.object(session_sends, "KNOWN_SOURCES", frozenset()):
        assert not session_sends.apply()
    assert sessions.InstanceSessionWrapper.send is not session_sends.send
    assert "SKIP_SESSION_LOOK" in caplog.text


def test_what_has_no_source_is_not_known() -> None:
    assert digest(digest) not in ("", digest(digest, digest))
    assert digest(digest, len) == ""
