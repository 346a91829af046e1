"""The stacks by name, as the resource's ``auth.stack`` and ``REALTIME_GATEWAY["AUTH_STACK"]`` say them."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from channels.auth import AuthMiddlewareStack

from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Application

Middleware = Callable[[Application], Application]


def session_stack(inner: Application) -> Application:
    """Cookies, Django's session, and the user who is logged in: Channels' ``AuthMiddlewareStack``."""
    return cast(Application, AuthMiddlewareStack(inner))


def no_stack(inner: Application) -> Application:
    """Leave the scope as the server made it."""
    return inner


STACKS: dict[str, Middleware] = {"session": session_stack, "none": no_stack}


def stack_named(name: str) -> Middleware:
    """Return a stack.

    Raises:
        ConfigurationError: there is none of that name yet.
    """
    if name not in STACKS:
        raise ConfigurationError(
            f"There is no auth stack {name!r}.",
            f"Use one of {', '.join(STACKS)}, or give gateway_application a middleware of your own.",
        )
    return STACKS[name]
