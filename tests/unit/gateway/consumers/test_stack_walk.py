"""A WebSocket's way through Channels' middleware, walked and as Channels goes it: the same, but for what waits."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from channels.auth import AuthMiddleware, AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import CookieMiddleware, InstanceSessionWrapper
from channels.testing import WebsocketCommunicator
from django.test.utils import override_settings
from django.urls import path, re_path

from realtime_gateway.consumers import session_looks, stack_walk
from realtime_gateway.consumers.stack_walk import walked, walked_as_set
from realtime_gateway.security.origins import OriginValidation

SITE = [(b"host", b"testserver"), (b"origin", b"http://testserver"), (b"cookie", b"flavour=mint; sessionid=abc")]


class Shows(AsyncWebsocketConsumer):
    """Says what its scope holds, and of which modules something waits for it."""

    seen: dict[str, Any]
    waiting: list[str]

    async def connect(self) -> None:
        type(self).seen = dict(self.scope)
        type(self).waiting = [Path(frame.filename).stem for frame in inspect.stack(context=0)]
        await self.accept()


def site() -> Any:
    nested = URLRouter([path("deep/<int:number>/", Shows.as_asgi())])
    routes = [
        re_path(r"^ws/(?P<room>\w+)/$", Shows.as_asgi(), {"kind": "named"}),
        re_path(r"^positional/(\w+)/$", Shows.as_asgi()),
        path("nested/", nested),
        path("nested/other/", Shows.as_asgi()),
    ]
    return ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes)))})


@pytest.fixture(autouse=True)
def allowed_hosts() -> Any:
    engine = "django.contrib.sessions.backends.signed_cookies"
    with override_settings(ALLOWED_HOSTS=["testserver"], SESSION_ENGINE=engine):
        yield


async def outcome(application: Any, target: str, headers: list[tuple[bytes, bytes]] | None = None) -> Any:
    """What becomes of a handshake: the consumer's scope, the refusal, or the error."""
    client = WebsocketCommunicator(application, target, headers=SITE if headers is None else headers)
    try:
        accepted, answer = await client.connect()
    except (ValueError, KeyError) as error:
        return type(error), str(error)
    await client.disconnect()
    return [(key, repr(value).split(" object at ")[0]) for key, value in Shows.seen.items()] if accepted else answer


@pytest.mark.parametrize("target", ["/ws/lobby/", "/positional/a/", "/nested/deep/7/", "/nested/other/", "/no/route/"])
async def test_the_consumer_sees_what_it_sees_without(target: str) -> None:
    assert await outcome(walked(site()), target) == await outcome(site(), target)


@pytest.mark.parametrize(
    "headers", [[], [(b"origin", b"http://elsewhere.example")], [(b"origin", b"http://testserver")]]
)
async def test_origins_are_refused_as_without(headers: list[tuple[bytes, bytes]]) -> None:
    assert await outcome(walked(site()), "/ws/lobby/", headers) == await outcome(site(), "/ws/lobby/", headers)


async def test_an_origin_of_any_length_is_refused_and_not_kept() -> None:
    before = stack_walk._parsed.cache_info().currsize
    long = [(b"origin", b"http://" + b"x" * 60_000 + b".example")]
    assert await outcome(walked(site()), "/ws/lobby/", long) == await outcome(site(), "/ws/lobby/", long)
    assert stack_walk._parsed.cache_info().currsize == before


@pytest.mark.parametrize(("origin", "accepted"), [(b"http://testserver", True), (b"http://elsewhere.example", False)])
async def test_our_own_validation_is_walked_through_too(origin: bytes, accepted: bool) -> None:
    validated = OriginValidation(site().application_mapping["websocket"].application, ["testserver"])
    found = await outcome(walked(validated), "/ws/lobby/", [(b"origin", origin)])
    assert isinstance(found, list) is accepted
    assert found == await outcome(validated, "/ws/lobby/", [(b"origin", origin)])


async def test_no_layer_of_the_stack_waits_for_the_connections_end() -> None:
    await outcome(walked(site()), "/ws/lobby/")
    layers = {"routing", "sessions", "auth", "middleware"}
    assert not layers.intersection(Shows.waiting)
    await outcome(site(), "/ws/lobby/")
    assert layers.issubset(Shows.waiting), "or this looks in the wrong place"


class Sender(AsyncWebsocketConsumer):
    """Notes what it is given to send by."""

    given: Any = None

    async def connect(self) -> None:
        type(self).given = self.base_send
        await self.accept()


async def given_to_send_by() -> Any:
    await WebsocketCommunicator(walked(AuthMiddlewareStack(Sender.as_asgi())), "/").connect()
    return Sender.given


async def test_the_session_middleware_is_left_out_of_what_a_consumer_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would do nothing; where it might do something, it is asked."""
    session_looks.apply()
    assert not isinstance(getattr(await given_to_send_by(), "__self__", None), InstanceSessionWrapper)
    with monkeypatch.context() as patched:
        patched.setattr(InstanceSessionWrapper, "save_message_types", ["websocket.close"])
        assert isinstance((await given_to_send_by()).__self__, InstanceSessionWrapper)
    session_looks.remove()
    try:
        assert isinstance((await given_to_send_by()).__self__, InstanceSessionWrapper)
    finally:
        session_looks.apply()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (InstanceSessionWrapper, "resolve_session"),
        (AuthMiddleware, "populate_scope"),
        (AuthMiddleware, "resolve_scope"),
    ],
)
async def test_a_part_of_a_layer_that_somebody_has_wrapped_is_called(
    monkeypatch: pytest.MonkeyPatch, kind: type, name: str
) -> None:
    called: list[str] = []
    original = getattr(kind, name)

    def instrumented(*arguments: Any) -> Any:
        called.append(name)
        return original(*arguments)

    monkeypatch.setattr(kind, name, instrumented)
    await outcome(walked(site()), "/ws/lobby/")
    assert called == [name]


async def test_the_servers_scope_is_left_as_it_is() -> None:
    client = WebsocketCommunicator(walked(site()), "/ws/lobby/", headers=SITE)
    before = dict(client.scope)
    await client.connect()
    assert client.scope == before
    assert {"session", "user", "url_route", "cookies"} <= Shows.seen.keys()


class Counting(CookieMiddleware):
    """A project's own."""

    calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        Counting.calls += 1
        return await super().__call__(dict(scope, counted=True), receive, send)


async def test_a_projects_own_layer_is_called_as_ever_and_so_is_what_it_wraps() -> None:
    Counting.calls = 0
    await outcome(walked(ProtocolTypeRouter({"websocket": Counting(Shows.as_asgi())})), "/")
    assert (Counting.calls, Shows.seen["counted"]) == (1, True)


async def test_a_layer_that_somebody_has_wrapped_is_called() -> None:
    called: list[Any] = []
    original = CookieMiddleware.__call__

    async def instrumented(middleware: Any, scope: Any, receive: Any, send: Any) -> Any:
        called.append(middleware)
        return await original(middleware, scope, receive, send)

    with mock.patch.object(CookieMiddleware, "__call__", instrumented):
        await outcome(walked(site()), "/ws/lobby/")
    assert len(called) == 1


def test_only_channels_of_a_known_source_is_walked_through_and_the_settings_may_forbid_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    application = site()
    assert walked_as_set(application) is not application
    with override_settings(REALTIME_GATEWAY={"DIRECT_MIDDLEWARE": False}):
        assert walked_as_set(application) is application
    assert not caplog.records
    with mock.patch.object(stack_walk, "KNOWN_SOURCES", frozenset()):
        assert walked_as_set(application) is application
    assert "DIRECT_MIDDLEWARE" in caplog.text
