"""Sockets of real sessions are watched over, whatever goes wrong meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.db import SessionStore
from django.db import OperationalError
from django.test import RequestFactory
from tests.integration.auth.conftest import SECONDS, Sockets, accepting, ending, known_as
from tests.support.conditions import until

from realtime_gateway.auth import watch
from realtime_gateway.auth.connections import registry
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.auth.session import session_stack
from realtime_gateway.layer import RedisChannelLayer

UseLayer = Callable[..., RedisChannelLayer]


def logged_in(name: str) -> Any:
    """A request of a user who has just logged in."""
    request = RequestFactory().get("/")
    request.session = SessionStore()
    request.user = User.objects.create_user(name)
    login(request, request.user, backend="django.contrib.auth.backends.ModelBackend")
    request.session.save()
    return request


def cookie_of(request: Any) -> str:
    return f"sessionid={request.session.session_key}"


async def test_a_client_that_comes_again_in_the_middle_of_a_logout_does_not_outlive_it(
    use_layer: UseLayer, sockets: Sockets
) -> None:
    use_layer()
    request = await asyncio.to_thread(logged_in, "ann")
    cookie, loop = cookie_of(request), asyncio.get_running_loop()
    first = await sockets.open(session_stack(accepting), cookie=cookie)
    again: list[tuple[bool, int]] = []

    def come_again(**signal: Any) -> None:
        """After everybody was told, and before the session is gone."""
        socket = WebsocketCommunicator(session_stack(accepting), "/ws/", headers=[(b"cookie", cookie.encode())])
        again.append(asyncio.run_coroutine_threadsafe(socket.connect(SECONDS), loop).result(SECONDS))

    user_logged_out.connect(come_again)
    try:
        await asyncio.to_thread(logout, request)
    finally:
        user_logged_out.disconnect(come_again)
    assert await ending(first) == (4401, "logged out")
    assert again == [(False, 4401)]


async def test_a_look_that_failed_is_made_again(
    use_layer: UseLayer, sockets: Sockets, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_layer()
    monkeypatch.setattr(watch, "AGAIN_SECONDS", 0.01)
    user = await User.objects.acreate_user("ann")
    socket = await sockets.open(known_as(Identity(user)))
    await until(lambda: looks == [1], SECONDS)
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)
    monkeypatch.setattr(watch, "refusals", failing_once(watch.refusals, OperationalError("the database is away")))
    registry().apply(Notice(Action.CHECK, (str(user.pk),)))
    assert await ending(socket) == (4401, "user no longer active")


def failing_once(function: Callable[..., Any], error: Exception) -> Callable[..., Any]:
    errors = [error]

    def failing(*given: Any) -> Any:
        if errors:
            raise errors.pop()
        return function(*given)

    return failing


async def test_watching_goes_on_after_an_error_that_nobody_thought_of(
    use_layer: UseLayer, sockets: Sockets, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    use_layer()
    monkeypatch.setattr(watch, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(watch, "_period_seconds", failing_once(lambda: 0.05, RuntimeError("the resource is gone")))
    user = await User.objects.acreate_user("ann")
    with caplog.at_level(logging.ERROR, "realtime_gateway.security"):
        socket = await sockets.open(known_as(Identity(user)))
        await until(lambda: "begins again" in caplog.text, SECONDS)
    assert "the resource is gone" in caplog.text
    await User.objects.filter(pk=user.pk).aupdate(is_active=False)  # which no signal tells of
    assert await ending(socket) == (4401, "user no longer active")


async def test_a_watch_that_somebody_cancelled_begins_again_with_the_next_connection(
    use_layer: UseLayer, sockets: Sockets
) -> None:
    use_layer()
    user = await User.objects.acreate_user("ann")
    await sockets.open(known_as(Identity(user)))
    task = watch._TASKS[registry()]
    task.cancel()
    await asyncio.wait([task])
    await sockets.open(known_as(Identity(user)))
    assert not watch._TASKS[registry()].done()
