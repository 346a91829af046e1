"""System checks: what is set up in a way that will surprise somebody. All but the first can be silenced.

    realtime_gateway.E001  listed after django.contrib.staticfiles, whose runserver would win
    realtime_gateway.W001  daphne is listed too, and both bring a runserver
    realtime_gateway.W002  an in-memory channel layer in production
    realtime_gateway.W003  the channel layer of channels_redis, where ours takes the same options
    realtime_gateway.W004  WebSockets are routed without an origin validator

W004 is a plain heuristic. It looks at the ``websocket`` application of a ProtocolTypeRouter and follows the attributes
that Channels' middleware uses for what it wraps; it speaks only when that leads to a URLRouter or a consumer and no
``OriginValidator`` stood on the way. A middleware of another make ends the search in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from channels.consumer import AsyncConsumer
from channels.routing import ProtocolTypeRouter, URLRouter, get_default_application
from channels.security.websocket import OriginValidator
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning

OURS = "realtime_gateway.layer.RedisChannelLayer"
IN_MEMORY = "channels.layers.InMemoryChannelLayer"
# What wraps another ASGI application keeps it under one of these names: Channels' middleware, its OriginValidator,
# and what most others use.
WRAPPED = ("inner", "application", "app")


def check_order(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Compare our place in INSTALLED_APPS with those of the apps that bring a runserver of their own."""
    names = [config.name for config in apps.get_app_configs()]
    found: list[CheckMessage] = []
    static = "django.contrib.staticfiles"
    if static in names and names.index(static) < names.index("realtime_gateway"):
        found.append(
            Error(
                "realtime_gateway must be listed before django.contrib.staticfiles in INSTALLED_APPS.",
                hint="Otherwise manage.py runserver is that of staticfiles, which serves no WebSockets.",
                id="realtime_gateway.E001",
            )
        )
    if "daphne" in names:
        first = min("daphne", "realtime_gateway", key=names.index)
        found.append(
            Warning(
                f"Both daphne and realtime_gateway are in INSTALLED_APPS; manage.py runserver is that of {first}.",
                hint="realtime_gateway takes daphne's place: remove 'daphne' from INSTALLED_APPS.",
                id="realtime_gateway.W001",
            )
        )
    return found


def check_channel_layers(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Look at the BACKEND of each channel layer."""
    found: list[CheckMessage] = []
    for alias, layer in getattr(settings, "CHANNEL_LAYERS", {}).items():
        backend = str(layer.get("BACKEND", ""))
        if backend == IN_MEMORY and not settings.DEBUG:
            found.append(
                Warning(
                    f"CHANNEL_LAYERS[{alias!r}] is in memory: no message reaches another process.",
                    hint=f"Set its BACKEND to {OURS!r}.",
                    id="realtime_gateway.W002",
                )
            )
        if backend.startswith("channels_redis."):
            found.append(
                Warning(
                    f"CHANNEL_LAYERS[{alias!r}] is the layer of channels_redis, which loses messages on a failover.",
                    hint=f"Set its BACKEND to {OURS!r}; it takes the same CONFIG.",
                    id="realtime_gateway.W003",
                )
            )
    return found


def check_origins(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Look for an origin validator around the WebSocket routes of ASGI_APPLICATION."""
    try:
        application = get_default_application()
    except Exception:
        return []  # whatever keeps it from being imported is reported by whoever needs it
    websocket = _wrapped_by(application, ProtocolTypeRouter)
    if websocket is None:
        return []
    way = list(_way(websocket.application_mapping.get("websocket")))
    if any(isinstance(step, OriginValidator) for step in way) or not way or not _is_consumer_or_routes(way[-1]):
        return []
    return [
        Warning(
            "The WebSocket routes of ASGI_APPLICATION have no origin validator: any website may open a WebSocket "
            "with the cookies of its visitor.",
            hint="Wrap them in channels.security.websocket.AllowedHostsOriginValidator, or use "
            "realtime_gateway.routing.gateway_application.",
            id="realtime_gateway.W004",
        )
    ]


def _way(application: Any) -> Iterator[Any]:
    """Follow what each application wraps, the outermost first; bounded, since an object may wrap itself."""
    for _ in range(50):
        if application is None:
            return
        yield application
        names = vars(application) if hasattr(application, "__dict__") else {}
        application = next((names[name] for name in WRAPPED if name in names), None)


def _wrapped_by(application: Any, kind: type) -> Any:
    return next((step for step in _way(application) if isinstance(step, kind)), None)


def _is_consumer_or_routes(application: Any) -> bool:
    consumer = getattr(application, "consumer_class", None)
    return isinstance(application, URLRouter) or (isinstance(consumer, type) and issubclass(consumer, AsyncConsumer))


CHECKS: dict[Callable[..., list[CheckMessage]], str] = {
    check_order: Tags.staticfiles,
    check_channel_layers: Tags.compatibility,
    check_origins: Tags.security,
}
