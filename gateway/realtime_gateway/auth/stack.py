"""The stacks by name, as the resource's ``auth.stack`` and ``REALTIME_GATEWAY["AUTH_STACK"]`` say them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from realtime_gateway.auth.session import session_stack
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.resource.secret_files import JWT_KEY
from realtime_gateway.resource.spec import Jwt
from realtime_gateway.security.denial import Application

Middleware = Callable[[Application], Application]


def no_stack(inner: Application) -> Application:
    """Leave the scope as the server made it."""
    return inner


# Stacks that need an optional package are imported when they are asked for: module, class, extra.
OPTIONAL = {
    "jwt": ("jwt", "JwtMiddleware", "jwt"),
    "drfToken": ("drf_token", "DRFAuthTokenMiddleware", "drf"),
    "simpleJwt": ("simple_jwt", "SimpleJWTAuthTokenMiddleware", "simplejwt"),
    "query": ("simple_jwt", "QueryStringSimpleJWTAuthTokenMiddleware", "simplejwt"),
}
PLAIN: dict[str, Middleware] = {"session": session_stack, "none": no_stack}
NAMES = (*PLAIN, *OPTIONAL)


def stack_named(name: str, rules: Jwt | None = None) -> Middleware:
    """Return a stack.

    Args:
        name: one of NAMES.
        rules: what the resource says of JWTs; the settings' ``JWT`` wins.

    Raises:
        ConfigurationError: there is none of that name, or its package is not installed.
    """
    if name in PLAIN:
        return PLAIN[name]
    if name not in OPTIONAL:
        raise ConfigurationError(
            f"There is no auth stack {name!r}.",
            f"Use one of {', '.join(NAMES)}, or give gateway_application a middleware of your own.",
        )
    module, class_name, extra = OPTIONAL[name]
    try:
        found = getattr(import_module(f"realtime_gateway.auth.{module}"), class_name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"The auth stack {name!r} needs {error.name}, which is not installed.",
            f"pip install 'realtime-gateway[{extra}]'",
        ) from error
    return _with_rules(found, rules) if name == "jwt" else cast(Middleware, found)


def _with_rules(middleware: Callable[..., Application], rules: Jwt | None) -> Middleware:
    from realtime_gateway.auth.jwt import JwtRules
    from realtime_gateway.environment import read_environment
    from realtime_gateway.settings import gateway_settings

    if rules is None or gateway_settings().jwt is not None:
        return middleware
    directory = read_environment().secrets_directory
    if rules.secret_ref is not None and directory is None:
        raise ConfigurationError(
            "The resource names a Secret with the key of JWTs, and this process has no directory with secrets.",
            f"Set REALTIME_GATEWAY_SECRETS to one that holds the file {JWT_KEY}.",
        )
    file = directory / JWT_KEY if rules.secret_ref is not None and directory is not None else None
    checked = JwtRules(key_file=file, jwks_url=rules.jwks_url, issuer=rules.issuer, audience=rules.audience)
    return lambda inner: middleware(inner, rules=checked)
