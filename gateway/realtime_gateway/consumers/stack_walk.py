"""Takes a WebSocket through Channels' middleware without a frame of each that waits for the connection's end.

Each layer of the stack that the tutorial has people write copies the scope, and then does nothing but ``return await
inner(scope, receive, send)``: seven coroutines and four copies of the scope, 4 KB of each idle connection, and seven
more steps each time that its consumer wakes. Here one coroutine does what each layer does up to that ``return``, and
goes on with what the layer would have called:

    walk ── ProtocolTypeRouter ── OriginValidator ── CookieMiddleware ── … ── URLRouter ── consumer
            └─ what is neither one of Channels' own nor our OriginValidation is called as ever

The scope is copied once, and what is written into it on the way is seen by what comes next alone. The session
middleware's ``send`` is left out where it would do nothing: it saves sessions with responses of HTTP only.

Nothing of Channels is replaced. ``REALTIME_GATEWAY = {"DIRECT_MIDDLEWARE": False}`` turns it off.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable
from functools import cache, lru_cache
from types import FunctionType
from typing import Any
from urllib.parse import ParseResult, urlparse

import channels
from channels import auth, routing, sessions
from channels.consumer import AsyncConsumer
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security import websocket
from channels.security.websocket import OriginValidator
from channels.sessions import CookieMiddleware, InstanceSessionWrapper, SessionMiddleware
from django.conf import settings

from realtime_gateway.auth.session_user import holds_nobody
from realtime_gateway.consumers import session_looks
from realtime_gateway.consumers.known_source import digest
from realtime_gateway.security.origins import OriginValidation
from realtime_gateway.settings import gateway_settings

logger = logging.getLogger("realtime_gateway.consumers")

Scope = dict[str, Any]
Application = Callable[[Scope, Any, Any], Awaitable[Any]]
# What a layer calls in the end, and with what scope and send; None where it has to be called itself.
Next = tuple[Any, Scope, Any] | None

# Of all that is walked through, in the order below, as it is in Channels 4.3.0, 4.3.1 and 4.3.2.
KNOWN_SOURCES = frozenset({"ff8db139e536660d35485bf14ed40cad2319144850f0232b368d5bdcfb06bc9d"})


def _by_protocol(router: Any, scope: Scope, send: Any) -> Next:
    inner = router.application_mapping.get(scope["type"])
    return None if inner is None else (inner, scope, send)


def _by_origin(validator: Any, scope: Scope, send: Any) -> Next:
    if scope["type"] != "websocket":
        return None
    origin = None
    for name, value in scope.get("headers", ()):
        if name == b"origin":
            origin = _parsed(value) if len(value) <= _LONGEST_KEPT_BYTES else urlparse(value.decode("latin1"))
    return (validator.application if validator.valid_origin(origin) else websocket.WebsocketDenier()), scope, send


# What a client says is kept when he has gone, whoever he is.
_LONGEST_KEPT_BYTES = 200


@lru_cache(maxsize=256)  # clients of one site have few
def _parsed(origin: bytes) -> ParseResult:
    return urlparse(origin.decode("latin1"))


def _by_our_origin(validator: Any, scope: Scope, send: Any) -> Next:
    return validator.following(scope), scope, send


def _with_cookies(middleware: Any, scope: Scope, send: Any) -> Next:
    if "headers" not in scope:
        return None
    cookies = {}
    for name, value in scope["headers"]:
        if name == b"cookie":
            cookies = sessions.parse_cookie(value.decode("latin1"))
            break
    scope["cookies"] = cookies
    return middleware.inner, scope, send


def _with_session(middleware: Any, scope: Scope, send: Any) -> Next | Awaitable[Next]:
    passes_all_on = (
        # Which it is where Channels' source is known, and the settings do not forbid it.
        InstanceSessionWrapper.send is session_looks.send
        and _nothing_is_replaced()
        and sessions.InstanceSessionWrapper is InstanceSessionWrapper
        and InstanceSessionWrapper.save_message_types == ["http.response.start"]
        and scope["type"] == "websocket"
    )
    if not passes_all_on or "session" in scope or "cookies" not in scope:
        return _with_session_of_its_own(middleware, scope, send)
    site: Any = settings._wrapped  # behind another lazy object
    module: Any = sys.modules.get(site.SESSION_ENGINE) or sessions.import_module(site.SESSION_ENGINE)
    store = module.SessionStore(scope["cookies"].get(site.SESSION_COOKIE_NAME))
    scope["session"] = _wrapping(sessions.LazyObject, store)
    return middleware.inner, scope, send


# What is not called here, but done; somebody's instrumentation may have replaced it.
_DONE_HERE = (
    InstanceSessionWrapper.__init__,
    InstanceSessionWrapper.resolve_session,
    auth.AuthMiddleware.populate_scope,
    auth.AuthMiddleware.resolve_scope,
)


def _nothing_is_replaced() -> bool:
    wrapper, middleware = InstanceSessionWrapper, auth.AuthMiddleware
    now = (wrapper.__init__, wrapper.resolve_session, middleware.populate_scope, middleware.resolve_scope)
    return now == _DONE_HERE


def _wrapping(kind: type, wrapped: object) -> Any:
    """Return one of Django's lazy objects that is no longer lazy; each attribute that it has set itself takes 1 us."""
    made: Any = object.__new__(kind)
    object.__setattr__(made, "_wrapped", wrapped)
    return made


async def _with_session_of_its_own(middleware: Any, scope: Scope, send: Any) -> Next:
    wrapper = sessions.InstanceSessionWrapper(scope, send)
    await wrapper.resolve_session()
    return middleware.inner, wrapper.scope, wrapper.send


def _with_user(middleware: Any, scope: Scope, send: Any) -> Next | Awaitable[Next]:
    session: Any = scope.get("session")
    if (
        "user" in scope
        or not _nothing_is_replaced()
        or auth.get_user is not session_looks.get_user
        or type(session) is not sessions.LazyObject
        or not holds_nobody(object.__getattribute__(session, "_wrapped"))
    ):
        return _with_user_of_session(middleware, scope, send)
    scope["user"] = _wrapping(auth.UserLazyObject, _anonymous_user()())
    return middleware.inner, scope, send


@cache
def _anonymous_user() -> Any:
    from django.contrib.auth.models import AnonymousUser  # which needs Django's apps

    return AnonymousUser


async def _with_user_of_session(middleware: Any, scope: Scope, send: Any) -> Next:
    middleware.populate_scope(scope)
    await middleware.resolve_scope(scope)
    return middleware.inner, scope, send


def _by_path(router: Any, scope: Scope, send: Any) -> Next:
    """Only to a consumer: a router in this one that knows no route has this one go on looking."""
    root_path, path = scope.get("root_path", ""), scope.get("path")
    if path is None or "path_remaining" in scope or not path.startswith(root_path):
        return None
    path = path[len(root_path) :].lstrip("/")
    for route in router.routes:
        try:
            match = route.pattern.match(path)
        except routing.Resolver404:
            continue
        if match:
            return _at_route(route, match, scope, send)
    return None


def _at_route(route: Any, match: tuple[str, tuple[Any, ...], dict[str, Any]], scope: Scope, send: Any) -> Next:
    if not _makes_consumer(route.callback):
        return None
    remaining, args, kwargs = match
    outer = scope.get("url_route", {})
    scope["path_remaining"] = remaining
    scope["url_route"] = {
        "args": outer.get("args", ()) + args,
        "kwargs": {**outer.get("kwargs", {}), **kwargs, **route.default_args},
    }
    return route.callback, scope, send


def _makes_consumer(application: Any) -> bool:
    return type(application) is FunctionType and application.__code__ is _AS_ASGI


_AS_ASGI = AsyncConsumer.as_asgi().__code__

Step = Callable[[Any, Scope, Any], Next | Awaitable[Next]]
_STEPS: dict[type, tuple[Any, Step]] = {
    kind: (vars(kind)["__call__"], step)
    for kind, step in (
        (ProtocolTypeRouter, _by_protocol),
        (OriginValidator, _by_origin),
        (OriginValidation, _by_our_origin),
        (CookieMiddleware, _with_cookies),
        (SessionMiddleware, _with_session),
        (auth.AuthMiddleware, _with_user),
        (URLRouter, _by_path),
    )
}


def sources_digest() -> str:
    """Return the digest of everything of Channels that is walked through."""
    calls = [call for call, step in _STEPS.values() if step is not _by_our_origin]
    return digest(*calls, BaseMiddleware.__call__, AsyncConsumer.as_asgi.__func__, *_DONE_HERE)


def walked_as_set(application: Application) -> Application:
    """Return what walks through an application, unless the settings say otherwise or Channels' source is not known."""
    if not (settings.configured and gateway_settings().direct_middleware):
        return application
    if sources_digest() not in KNOWN_SOURCES:
        logger.warning(
            "Channels %s has middleware that this version of realtime-gateway was not tested with, so each idle "
            "connection takes some 4 KB more. Upgrade realtime-gateway, or set "
            'REALTIME_GATEWAY = {"DIRECT_MIDDLEWARE": False} to leave it so without this warning.',
            channels.__version__,
        )
        return application
    return walked(application)


def walked(outermost: Application) -> Application:
    """Return an application that does what ``outermost`` does."""

    async def walk(scope: Scope, receive: Any, send: Any) -> Any:
        application: Any = outermost
        scope = dict(scope)  # the layers write into it
        while True:
            known = _STEPS.get(type(application))
            if known is None or type(application).__call__ is not known[0]:  # replaced by somebody's instrumentation
                break
            step: Any = known[1](application, scope, send)
            following = step if step is None or type(step) is tuple else await step
            if following is None:
                break
            application, scope, send = following
        following = known = step = None
        if _makes_consumer(application):
            application = application.consumer_class(**application.consumer_initkwargs)
        return await application(scope, receive, send)

    return walk
