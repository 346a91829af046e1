"""What one process tells all of them about users who may no longer be connected, as a message of the channel layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from realtime_gateway.endings import FORBIDDEN, UNAUTHENTICATED, Ending

# Each process has one channel in it.
GROUP = "realtime_gateway.revocations"
TYPE = "realtime_gateway.revocation"
# What the channel layer itself says when some of them may be missing.
MISSED = "realtime_gateway.revocations_missed"
# In one message.
AT_ONCE = 100


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
        users: primary keys as text, as ``row_key`` has them; all connections of each.
        credential: of one login or token, as ``Identity.credential`` has it.
        ending: with which code they are closed.
        reason: what the clients read; at most 123 bytes (RFC 6455 section 5.5).
    """

    action: Action
    users: tuple[str, ...] = ()
    credential: str = ""
    ending: Ending = UNAUTHENTICATED
    reason: str = "logged out"

    def about(self) -> Iterator[str]:
        """Return whom it is about, as ``keys_of`` has it."""
        return keys_of(self.users, self.credential)

    def concerns(self, heard_at: float, began_at: float) -> bool:
        """Say whether it holds for a connection whose authentication began then.

        Who logs in after a notice about a user is not meant. A credential that has ended does not come back: between
        the signal of a logout and the end of its session, a client may connect with it once more.
        """
        return began_at <= heard_at or bool(self.action is Action.END and self.credential)


def keys_of(users: Iterable[str], credential: str) -> Iterator[str]:
    """Return what stands for users and for a credential, in one dict."""
    for user in users:
        yield f"user {user}"
    if credential:
        yield f"credential {credential}"


def message_of(notices: Iterable[tuple[float, Notice]]) -> dict[str, Any]:
    """Return notices, each with its age in seconds, as a message."""
    return {
        "type": TYPE,
        "notices": [
            {
                "action": notice.action.value,
                "users": list(notice.users),
                "credential": notice.credential,
                "code": notice.ending.code,
                "reason": notice.reason,
                "age_seconds": age_seconds,
            }
            for age_seconds, notice in notices
        ],
    }


def read_notices(message: Mapping[str, Any]) -> list[tuple[float, Notice]]:
    """Return the notices of a message with their ages, without what another version says that is unknown here."""
    listed = message.get("notices")
    found = (_read(one) for one in listed) if isinstance(listed, list) else ()
    return [notice for notice in found if notice is not None]


def _read(said: Any) -> tuple[float, Notice] | None:
    try:
        return max(0.0, float(said["age_seconds"])), Notice(
            Action(said["action"]),
            tuple(str(user) for user in said["users"]),
            str(said["credential"]),
            FORBIDDEN if said["code"] == FORBIDDEN.code else UNAUTHENTICATED,
            str(said["reason"]),
        )
    except (KeyError, TypeError, ValueError):
        return None
