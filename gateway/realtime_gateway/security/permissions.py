"""Who may do what on an open WebSocket: the refusal that our consumers answer, and which groups a client may join."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from realtime_gateway.errors import ConfigurationError, GatewayError
from realtime_gateway.security.denial import Reason, Scope
from realtime_gateway.telemetry import recorder

logger = logging.getLogger("realtime_gateway.security")

# Everybody or nobody; a permission; or what says so of a user and a group's name.
Rule = bool | str | Callable[[Any, str], bool | Awaitable[bool]]


class NotAllowed(GatewayError):
    """What a client asked for is not for its user. Raise it in any handler of one of our consumers.

    Attributes:
        close: whether the WebSocket is closed, with 4403.
        reason: what is counted.
    """

    def __init__(self, message: str = "", *, close: bool = False, reason: Reason = Reason.PERMISSION) -> None:
        super().__init__(message or reason.told)
        self.close = close
        self.reason = reason


class GroupPolicies:
    """Patterns of groups' names with who may join them; the first that matches decides, and none is a refusal.

    Args:
        rules: pattern (``*`` is any number of characters) → rule.

    Raises:
        ConfigurationError: a rule is none.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        for pattern, rule in rules.items():
            if not isinstance(rule, bool | str) and not callable(rule):
                raise ConfigurationError(
                    f"The policy of the groups {pattern!r} is neither True, a permission nor a callable."
                )
        self._rules = tuple(rules.items())

    def rule(self, group: str) -> Rule:
        """Return the rule for a group."""
        return next((rule for pattern, rule in self._rules if fnmatchcase(group, pattern)), False)


def may(user: Any, permissions: tuple[str, ...], about: Any = None) -> bool:
    """Say whether a user is logged in and has all permissions, of one object where one is given. For a thread."""
    if user is None or not getattr(user, "is_authenticated", False):
        return False
    has_perm = getattr(user, "has_perm", None)
    return all(has_perm is not None and has_perm(permission, about) for permission in permissions)


def note_refusal(scope: Scope, refused: NotAllowed) -> None:
    """Count it, and log it where somebody wants to know: a client may ask as often as it likes."""
    recorder.denials.add(1, refused.reason.value)
    logger.info("Refused %r on %r: %s", str(scope.get("user")), scope.get("path"), refused.message)
