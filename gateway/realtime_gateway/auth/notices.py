"""What one process tells all of them about users who may no longer be connected, as a message of the channel layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from realtime_gateway.endings import FORBIDDEN, UNAUTHENTICATED, Ending

# Each process has one channel in it.
GROUP = "realtime_gateway.revocations"
TYPE = "realtime_gateway.revocation"


class Action(Enum):
    """What to do with the connections that a notice is about."""

    END = "end"  # close them
    CHECK = "check"  # look whether they may still be connected
    REFRESH = "refresh"  # forget which permissions their users had


@dataclass(frozen=True)
class Notice:
    """One notice.

    Attributes:
        action: what to do.
        users: primary keys as text; all connections of each.
        credential: of one login or token, as ``Identity.credential`` has it.
        ending: with which code they are closed.
        reason: what the clients read; at most 123 bytes (RFC 6455 section 5.5).
    """

    action: Action
    users: tuple[str, ...] = ()
    credential: str = ""
    ending: Ending = UNAUTHENTICATED
    reason: str = "logged out"

    def message(self) -> dict[str, Any]:
        """Return it as a message."""
        return {
            "type": TYPE,
            "action": self.action.value,
            "users": list(self.users),
            "credential": self.credential,
            "code": self.ending.code,
            "reason": self.reason,
        }


def read_notice(message: Mapping[str, Any]) -> Notice | None:
    """Return the notice of a message, or None where another version says something unknown."""
    try:
        return Notice(
            Action(message["action"]),
            tuple(str(user) for user in message["users"]),
            str(message["credential"]),
            FORBIDDEN if message["code"] == FORBIDDEN.code else UNAUTHENTICATED,
            str(message["reason"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
