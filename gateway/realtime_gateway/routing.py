"""``gateway_application``: the ASGI application that Channels' documentation has people write by hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

import django
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import URLPattern, re_path
from django.utils.module_loading import import_string

from realtime_gateway.auth.csrf import CsrfValidation
from realtime_gateway.auth.stack import Middleware, stack_named
from realtime_gateway.environment import read_environment
from realtime_gateway.resource import load_resource
from realtime_gateway.resource.spec import Auth, Limits, Security
from realtime_gateway.security.denial import Application, Receive, Scope, Send
from realtime_gateway.security.limiting import AddressLimiting, UserLimiting
from realtime_gateway.security.origins import OriginValidation, allowed_hosts_origin_validation
from realtime_gateway.settings import gateway_settings
from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.routing")


def gateway_application(
    websocket_urlpatterns: Sequence[URLPattern] | str,
    *,
    http: Application | None = None,
    auth: str | Middleware | None = None,
    origins: Sequence[str] | None = None,
    channels: Mapping[str, Application] | None = None,
    limits: Limits | None = None,
) -> Application:
    """Route HTTP to Django, and WebSockets through origin validation and the auth stack to consumers.

    In ``asgi.py``, after DJANGO_SETTINGS_MODULE is set::

        application = gateway_application("mysite.routing.websocket_urlpatterns")

    A WebSocket to a path that no pattern matches is refused with 404.

    Args:
        websocket_urlpatterns: what ``URLRouter`` takes, or its dotted path, which is imported once Django is set up, so
            that its module may import models.
        http: the application for HTTP; Django's by default.
        auth: the name of a stack (``auth.stack.NAMES``), or a middleware of your own. By default
            ``REALTIME_GATEWAY["AUTH_STACK"]``, else the ``auth.stack`` of the resource that the process belongs to.
        origins: whose pages may connect, as Channels' ``OriginValidator`` takes them; ``["*"]`` is everyone. By
            default ``REALTIME_GATEWAY["ALLOWED_ORIGINS"]``, else the resource's ``security.allowedOrigins``, else
            ALLOWED_HOSTS.
        channels: channel name → consumer, for ``manage.py runworker``.
        limits: how much clients may send and connect; by default the resource's ``security.limits``.

    Raises:
        ConfigurationError: there is no such stack, or the resource is invalid.
    """
    django.setup(set_prefix=False)  # as get_asgi_application does; what follows may import models
    django_application = http or cast(Application, get_asgi_application())
    if isinstance(websocket_urlpatterns, str):
        websocket_urlpatterns = cast(Sequence[URLPattern], import_string(websocket_urlpatterns))
    auth_wanted, security = _from_resource()
    name = auth or gateway_settings().auth_stack or auth_wanted.stack
    stack = name if callable(name) else stack_named(name, auth_wanted.jwt)
    # The operator compares it with the resource's, which an application that is built by hand does not heed.
    recorder.auth_stack.values.clear()
    recorder.auth_stack.set(1, "custom" if callable(name) else name)
    # Django's stubs take views only; Channels' URLRouter takes ASGI applications.
    otherwise = re_path("", cast(Any, _no_route))
    router = cast(Application, URLRouter([*websocket_urlpatterns, otherwise]))
    checked = CsrfValidation(router) if gateway_settings().csrf_check else router
    websocket = _limited(stack, checked, security.limits if limits is None else limits)
    routes = {"http": django_application, "websocket": _validated(websocket, origins, security)}
    if channels is not None:
        routes["channel"] = ChannelNameRouter(dict(channels))
    return cast(Application, ProtocolTypeRouter(routes))


async def _no_route(scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a path that no pattern has matched; ``URLRouter`` would raise, which is a 500 and a traceback."""
    logger.warning("Refused a WebSocket to %r: no route matches it", scope.get("path"))
    await receive()  # websocket.connect
    if "websocket.http.response" in (scope.get("extensions") or {}):
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
        await send({"type": "websocket.http.response.start", "status": 404, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"Not Found"})
    else:
        await send({"type": "websocket.close"})  # the server makes it 403


def _limited(stack: Middleware, application: Application, limits: Limits) -> Application:
    """Put the limits that are set around what they hold for: addresses before anybody's login costs a query."""
    unlimited = Limits()
    if (limits.per_connection, limits.per_user) != (unlimited.per_connection, unlimited.per_user):
        application = UserLimiting(application, limits)
    application = stack(application)
    return application if limits.per_address == unlimited.per_address else AddressLimiting(application, limits)


def _validated(application: Application, origins: Sequence[str] | None, security: Security) -> OriginValidation:
    report_only = gateway_settings().report_origins_only
    for allowed in (origins, gateway_settings().allowed_origins, security.allowed_origins or None):
        if allowed is not None:
            return OriginValidation(application, list(allowed), report_only=report_only)
    return allowed_hosts_origin_validation(application, report_only=report_only)


def _from_resource() -> tuple[Auth, Security]:
    """Return what the resource that this process belongs to says, or the resource's defaults."""
    file = read_environment().resource_file
    if file is None:
        return Auth(), Security()
    spec = load_resource(file).spec
    return spec.auth, spec.security
