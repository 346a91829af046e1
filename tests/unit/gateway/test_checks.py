"""System checks: each speaks when it should, and only then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import WebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.checks import CheckMessage, run_checks
from django.test import override_settings
from django.urls import path

from realtime_gateway import checks
from realtime_gateway.routing import gateway_application

Checks = Callable[..., list[CheckMessage]]


def found(check: Checks) -> list[str]:
    return [str(message.id) for message in check(None)]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        (["realtime_gateway", "django.contrib.staticfiles"], []),
        (["realtime_gateway"], []),
        (["django.contrib.staticfiles", "realtime_gateway"], ["realtime_gateway.E001"]),
        (["daphne", "realtime_gateway", "django.contrib.staticfiles"], ["realtime_gateway.W001"]),
        (["realtime_gateway", "daphne", "django.contrib.staticfiles"], ["realtime_gateway.W001"]),
    ],
    ids=lambda value: ",".join(value) or "in order",
)
def test_the_order_of_apps_decides_whose_runserver_it_is(installed: list[str], expected: list[str]) -> None:
    with mock.patch.object(checks.apps, "get_app_configs") as configs:
        configs.return_value = [mock.Mock() for _ in installed]
        for config, name in zip(configs.return_value, installed, strict=True):
            config.name = name
        assert found(checks.check_order) == expected


@pytest.mark.parametrize(
    ("backend", "debug", "expected"),
    [
        ("realtime_gateway.layer.RedisChannelLayer", False, []),
        ("channels.layers.InMemoryChannelLayer", True, []),
        ("channels.layers.InMemoryChannelLayer", False, ["realtime_gateway.W002"]),
        ("channels_redis.core.RedisChannelLayer", False, ["realtime_gateway.W003"]),
        ("channels_redis.pubsub.RedisPubSubChannelLayer", True, ["realtime_gateway.W003"]),
        ("somebody.elses.Layer", False, []),
    ],
)
def test_a_layer_that_will_surprise_is_named(backend: str, debug: bool, expected: list[str]) -> None:
    with override_settings(CHANNEL_LAYERS={"default": {"BACKEND": backend}}, DEBUG=debug):
        assert found(checks.check_channel_layers) == expected


def test_no_channel_layers_are_no_problem() -> None:
    with override_settings():
        from django.conf import settings

        del settings.CHANNEL_LAYERS
        assert found(checks.check_channel_layers) == []


ROUTES = URLRouter([path("ws/", WebsocketConsumer.as_asgi())])


class SomebodysMiddleware:
    """Keeps what it wraps under a name of its own, and may well validate origins."""

    def __init__(self, wrapped: Any) -> None:
        self.hidden = wrapped


APPLICATIONS: dict[str, tuple[Any, list[str]]] = {
    "routes behind a validator": (AllowedHostsOriginValidator(AuthMiddlewareStack(ROUTES)), []),
    "a validator inside the auth stack": (AuthMiddlewareStack(OriginValidator(ROUTES, ["*"])), []),
    "routes with sessions only": (AuthMiddlewareStack(ROUTES), ["realtime_gateway.W004"]),
    "bare routes": (ROUTES, ["realtime_gateway.W004"]),
    "one consumer": (WebsocketConsumer.as_asgi(), ["realtime_gateway.W004"]),
    "a middleware that hides what it wraps": (SomebodysMiddleware(ROUTES), []),
    "no websockets": (None, []),
}


@pytest.mark.parametrize("story", APPLICATIONS)
def test_websocket_routes_without_an_origin_validator_are_named(story: str) -> None:
    websocket, expected = APPLICATIONS[story]
    routes = {"http": object()} if websocket is None else {"http": object(), "websocket": websocket}
    with mock.patch.object(checks, "get_default_application", return_value=ProtocolTypeRouter(routes)):
        assert found(checks.check_origins) == expected


def test_the_router_may_itself_be_wrapped() -> None:
    with override_settings(STATIC_URL="static/"):
        application = ASGIStaticFilesHandler(ProtocolTypeRouter({"websocket": ROUTES}))
    with mock.patch.object(checks, "get_default_application", return_value=application):
        assert found(checks.check_origins) == ["realtime_gateway.W004"]


def test_gateway_application_passes() -> None:
    with mock.patch.object(checks, "get_default_application", return_value=gateway_application([])):
        assert found(checks.check_origins) == []


def test_an_application_that_cannot_be_imported_is_somebody_elses_message() -> None:
    with override_settings(ASGI_APPLICATION="no.such.thing"):
        assert found(checks.check_origins) == []


def test_the_checks_run_with_djangos_own_and_can_be_silenced() -> None:
    with override_settings(DEBUG=False):
        [message] = [message for message in run_checks() if message.id == "realtime_gateway.W002"]
    with override_settings(SILENCED_SYSTEM_CHECKS=["realtime_gateway.W002"]):
        assert message.is_silenced()
