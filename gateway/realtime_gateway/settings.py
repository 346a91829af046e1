"""The ``REALTIME_GATEWAY`` dict of Django's settings, checked once and frozen.

    REALTIME_GATEWAY = {
        "AUTH_STACK": "session",
        "ALLOWED_ORIGINS": ["https://chat.example.com"],
        "SKIP_DATABASE_HOP": True,
        "THREADS": 8,
    }

Every key may be left out. ``AUTH_STACK`` and ``ALLOWED_ORIGINS`` win over the resource that a process belongs to.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from realtime_gateway.resource.spec import Auth

NAME = "REALTIME_GATEWAY"
MOST_THREADS = 1000
# The stacks that a resource may name too; a test keeps them equal to ``auth.stack.NAMES``, which stands above this.
STACK_NAMES: tuple[str, ...] = get_args(get_type_hints(Auth)["stack"])


@dataclass(frozen=True)
class GatewaySettings:
    """What a project has set.

    Attributes:
        auth_stack: how ``gateway_application`` finds out who a client is; None leaves it to the resource.
        jwt: the rules of the stack "jwt", as ``auth.jwt.rules_of`` reads them; None leaves them to the resource. Left
            out of ``repr``: they may hold a key.
        allowed_origins: whose pages may open a WebSocket through ``gateway_application``, as Channels'
            ``OriginValidator`` takes them; None leaves it to the resource, and that to ALLOWED_HOSTS.
        skip_database_hop: apply the patch of ``consumers.database_hop``; on, since it is exact and saves some 60 µs
            of CPU per message.
        direct_dispatch: apply the patch of ``consumers.dispatching``; on, since handlers see no difference and it saves
            some 30 µs of CPU per message.
        skip_session_look: apply the patch of ``consumers.session_looks``; on, since it is exact and saves 4 µs of CPU
            per message to a client, and a thread's turn per connection of a client without a session.
        direct_middleware: go through Channels' middleware as ``consumers.stack_walk`` does; on, since nobody sees a
            difference and it saves 4 KB per idle connection.
        threads: how many threads the synchronous consumers of ``realtime_gateway.consumers`` share, each consumer
            always in the same one, from 1 to 1000; each may hold a database connection.
        revalidation_period_seconds: between two looks at whether connected users may still be; 0 is never; None leaves
            it to the resource.
        report_origins_only: let every origin pass ``gateway_application``, and log and count those to be refused.
        csrf_check: want Django's CSRF token in each handshake through ``gateway_application``.
        save_sessions_at_disconnect: save what a consumer has changed in its session when the WebSocket is over.
    """

    auth_stack: str | None = None
    jwt: Mapping[str, Any] | None = field(default=None, repr=False)
    allowed_origins: tuple[str, ...] | None = None
    skip_database_hop: bool = True
    direct_dispatch: bool = True
    skip_session_look: bool = True
    threads: int = 8
    revalidation_period_seconds: float | None = None
    report_origins_only: bool = False
    csrf_check: bool = False
    save_sessions_at_disconnect: bool = False
    direct_middleware: bool = True


def gateway_settings() -> GatewaySettings:
    """Read the dict.

    Raises:
        ImproperlyConfigured: it is no dict, or a key or a value in it is not what it should be.
    """
    given = getattr(settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{NAME} must be a dict, not {type(given).__name__}.")
    known = {field.name.upper(): field.name for field in fields(GatewaySettings)}
    for key in given:
        if key not in known:
            raise ImproperlyConfigured(f"{NAME} has the unknown key {key!r}. {_advice(str(key), list(known))}")
    return GatewaySettings(**{known[key]: _checked(key, value) for key, value in given.items()})


def _advice(key: str, known: list[str]) -> str:
    near = difflib.get_close_matches(key.upper(), known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"It may have {', '.join(known)}."


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


# Key → what it must be, in words and as a test; None is allowed where the default is None.
WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "SKIP_DATABASE_HOP": ("True or False", lambda value: isinstance(value, bool)),
    "DIRECT_DISPATCH": ("True or False", lambda value: isinstance(value, bool)),
    "SKIP_SESSION_LOOK": ("True or False", lambda value: isinstance(value, bool)),
    "DIRECT_MIDDLEWARE": ("True or False", lambda value: isinstance(value, bool)),
    "THREADS": (
        f"a number from 1 to {MOST_THREADS}",
        lambda value: type(value) is int and 1 <= value <= MOST_THREADS,
    ),
    "AUTH_STACK": (
        f"the name of a stack ({', '.join(STACK_NAMES)})",
        lambda value: isinstance(value, str) and value in STACK_NAMES,
    ),
    "ALLOWED_ORIGINS": ("a list of origins", _is_list_of_text),
    "REPORT_ORIGINS_ONLY": ("True or False", lambda value: isinstance(value, bool)),
    "CSRF_CHECK": ("True or False", lambda value: isinstance(value, bool)),
    "SAVE_SESSIONS_AT_DISCONNECT": ("True or False", lambda value: isinstance(value, bool)),
    "JWT": ("a dict", lambda value: isinstance(value, Mapping)),
    "REVALIDATION_PERIOD_SECONDS": (
        "a number of seconds",
        lambda value: type(value) in (int, float) and value >= 0,
    ),
}


def _checked(key: str, value: Any) -> Any:
    wanted, is_right = WANTED[key]
    if value is None and getattr(GatewaySettings, key.lower()) is None:
        return None
    if not is_right(value):
        shown = "something else" if key == "JWT" else repr(value)  # it may hold a secret
        raise ImproperlyConfigured(f"{NAME}[{key!r}] must be {wanted}, not {shown}.")
    return tuple(value) if isinstance(value, list) else value
