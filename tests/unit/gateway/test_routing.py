"""gateway_application routes as one would by hand, and takes its defaults from settings and resource."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from channels.testing import ApplicationCommunicator, HttpCommunicator, WebsocketCommunicator
from django.contrib.auth.models import User
from django.test import override_settings
from django.urls import path
from tests.support.documented import code_under

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.resource.limits import AddressLimits, ConnectionLimits, Limits, UserLimits
from realtime_gateway.routing import gateway_application
from realtime_gateway.security.denial import Application, Receive, Scope, Send

LOCAL = [(b"origin", b"http://localhost")]


class Who(AsyncJsonWebsocketConsumer):  # type: ignore[misc]  # Channels is untyped
    async def connect(self) -> None:
        await self.accept()
        await self.send_json({"user": str(self.scope.get("user", "nobody asked"))})

    async def work(self, event: dict[str, Any]) -> None:
        await get_channel_layer().send(event["answer"], {"type": "done"})


urlpatterns = [path("ws/", Who.as_asgi())]


async def greeting(
    application: Application, headers: list[tuple[bytes, bytes]] = LOCAL, address: str = ""
) -> str | None:
    """What a client is told, or None when it is refused."""
    client = WebsocketCommunicator(application, "/ws/", headers=headers)
    client.scope["client"] = [address, 1] if address else None
    accepted, _ = await client.connect()
    if not accepted:
        return None
    content: dict[str, str] = await client.receive_json_from()
    await client.disconnect()
    return content["user"]


@pytest.fixture(autouse=True)
def local_hosts() -> Any:
    with override_settings(ALLOWED_HOSTS=["localhost"]):
        yield


async def test_a_page_of_this_site_gets_a_user() -> None:
    assert await greeting(gateway_application(urlpatterns)) == "AnonymousUser"


async def test_a_page_of_another_site_is_refused() -> None:
    assert await greeting(gateway_application(urlpatterns), [(b"origin", b"http://evil.example")]) is None


async def test_the_patterns_may_be_a_dotted_path() -> None:
    assert await greeting(gateway_application(f"{__name__}.urlpatterns")) == "AnonymousUser"


async def test_origins_can_be_given() -> None:
    application = gateway_application(urlpatterns, origins=["https://evil.example"])
    assert await greeting(application) is None
    assert await greeting(application, [(b"origin", b"https://evil.example")]) == "AnonymousUser"


async def test_a_stack_of_ones_own_is_a_middleware() -> None:
    def tea_stack(inner: Application) -> Application:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, "user": "the tea maker"}, receive, send)

        return middleware

    assert await greeting(gateway_application(urlpatterns, auth=tea_stack)) == "the tea maker"


async def test_no_stack_leaves_the_scope_alone() -> None:
    assert await greeting(gateway_application(urlpatterns, auth="none")) == "nobody asked"


async def test_a_path_that_no_pattern_matches_is_404_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    nested = path("api/", URLRouter([path("ws/", Who.as_asgi())]))
    application = gateway_application([*urlpatterns, nested])
    for unknown in ("/nowhere/", "/ws/more/", "/", "/api/nowhere/"):
        scope = {"type": "websocket", "path": unknown, "headers": LOCAL, "extensions": {"websocket.http.response": {}}}
        client = ApplicationCommunicator(application, scope)
        await client.send_input({"type": "websocket.connect"})
        start, body = await client.receive_output(), await client.receive_output()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 404)
        assert (body["type"], body["body"]) == ("websocket.http.response.body", b"Not Found")
        await client.wait()
        [line] = caplog.messages
        assert line == f"Refused a WebSocket to {unknown!r}: no route matches it"
        caplog.clear()


async def test_without_the_denial_extension_a_path_without_a_route_is_closed_before_it_opens() -> None:
    client = WebsocketCommunicator(gateway_application(urlpatterns), "/nowhere/", headers=LOCAL)
    assert await client.connect() == (False, 1000)


async def test_a_consumers_own_error_is_not_taken_for_a_missing_route() -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("No route found for path 'x'.")

    client = WebsocketCommunicator(gateway_application([path("ws/", failing)]), "/ws/", headers=LOCAL)
    with pytest.raises(ValueError, match="No route found"):
        await client.connect()


def test_a_stack_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no auth stack 'magic'"):
        gateway_application(urlpatterns, auth="magic")


async def test_settings_come_before_the_resource_and_arguments_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = tmp_path / "chat.json"
    spec = {"application": "chat.asgi:application", "security": {"allowedOrigins": ["https://resource.example"]}}
    head = {"apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"}}
    resource.write_text(json.dumps({**head, "spec": spec}))
    monkeypatch.setenv("REALTIME_GATEWAY_RESOURCE", str(resource))
    from_resource = gateway_application(urlpatterns)
    with override_settings(REALTIME_GATEWAY={"ALLOWED_ORIGINS": ["https://settings.example"], "AUTH_STACK": "none"}):
        from_settings = gateway_application(urlpatterns)
        from_argument = gateway_application(urlpatterns, origins=["https://argument.example"], auth="session")
    for application, name, user in (
        (from_resource, b"resource", "AnonymousUser"),
        (from_settings, b"settings", "nobody asked"),
        (from_argument, b"argument", "AnonymousUser"),
    ):
        assert await greeting(application, [(b"origin", b"https://" + name + b".example")]) == user
        assert await greeting(application, [(b"origin", b"https://other.example")]) is None


async def test_http_is_djangos_or_what_is_given() -> None:
    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b"tea"})

    response = await HttpCommunicator(gateway_application([], http=plain), "GET", "/").get_response()
    assert response["status"] == 418


async def test_workers_channels_are_routed_by_name() -> None:
    layer = get_channel_layer()
    answer = await layer.new_channel()
    application = gateway_application([], channels={"jobs": Who.as_asgi()})
    worker = ApplicationCommunicator(application, {"type": "channel", "channel": "jobs"})
    await worker.send_input({"type": "work", "answer": answer})
    assert await layer.receive(answer) == {"type": "done"}
    worker.stop()


async def test_limits_come_from_the_resource_and_an_argument_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = tmp_path / "chat.yaml"
    head = {"apiVersion": "realtime-gateway.io/v1alpha1", "kind": "RealtimeGateway", "metadata": {"name": "chat"}}
    documented = yaml.safe_load(code_under("security.md", "## Limits"))
    resource.write_text(yaml.safe_dump({**head, "spec": {"application": "chat.asgi:application", **documented}}))
    monkeypatch.setenv("REALTIME_GATEWAY_RESOURCE", str(resource))
    from_resource = gateway_application(urlpatterns, origins=["*"])
    from_argument = gateway_application(
        urlpatterns, origins=["*"], limits=Limits(per_address=AddressLimits(connections_per_minute=2))
    )
    for application, allowed in ((from_argument, 2), (from_resource, 5)):
        answers = [await greeting(application, address=f"192.0.2.{allowed}") for _ in range(5)]
        assert answers == ["AnonymousUser"] * allowed + [None] * (5 - allowed)


async def test_a_login_is_looked_for_before_a_users_limits_and_after_an_addresss() -> None:
    looked_for = []

    def stack(inner: Application) -> Application:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            looked_for.append(scope["client"][0])
            await inner({**scope, "user": User(pk=7)}, receive, send)

        return middleware

    limits = Limits(ConnectionLimits(), UserLimits(connections_per_minute=1), AddressLimits(connections_per_minute=2))
    application = gateway_application(urlpatterns, auth=stack, origins=["*"], limits=limits)
    told = [await greeting(application, address=f"192.0.2.{last}") for last in (9, 9, 9, 8)]
    assert told[0] is not None
    assert told[1:] == [None] * 3
    assert looked_for == ["192.0.2.9", "192.0.2.9", "192.0.2.8"]
