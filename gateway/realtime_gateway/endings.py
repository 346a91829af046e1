"""Every way a client's connection ends: what the client is told, and what we call it in the metrics.

One table. A WebSocket that is open ends with a close code (RFC 6455 section 7.4); one that is not open yet ends with
an HTTP status. The label is the value of ``reason`` in ``realtime_gateway_connections_closed``: a small fixed set, so
codes that applications choose for themselves (3000 to 4999) share one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Ending:
    """One row of the table.

    Attributes:
        code: the WebSocket close code.
        status: the HTTP status for a client whose handshake is not finished.
        reason: what the client reads; "" when the code says it all.
        may_reconnect: whether a well-behaved client should try again by itself.
        label: its name in the metrics.
    """

    code: int
    status: int
    reason: str
    may_reconnect: bool
    label: str


NORMAL = Ending(1000, 403, "", False, "normal")
GOING_AWAY = Ending(1001, 503, "", True, "going_away")
PROTOCOL_ERROR = Ending(1002, 400, "", False, "protocol_error")
UNSUPPORTED_DATA = Ending(1003, 400, "", False, "unsupported_data")
NO_CODE = Ending(1005, 400, "", True, "no_code")
LOST = Ending(1006, 400, "", True, "lost")
INVALID_TEXT = Ending(1007, 400, "", False, "invalid_text")
POLICY = Ending(1008, 403, "", False, "policy")
TOO_BIG = Ending(1009, 413, "", False, "too_big")
APPLICATION_ERROR = Ending(1011, 500, "", True, "application_error")
RESTARTING = Ending(1012, 503, "server restarting; reconnect", True, "restarting")
OVERLOADED = Ending(1013, 503, "too many connections; try again later", True, "overloaded")
APPLICATION = Ending(3000, 403, "", False, "application")
# Codes of the private range (RFC 6455 section 7.4.2), by the HTTP status that says the same.
UNAUTHENTICATED = Ending(4401, 401, "not authenticated", False, "unauthenticated")
FORBIDDEN = Ending(4403, 403, "not allowed", False, "forbidden")
# Endings that share a code with another and differ in what happened.
PING_TIMEOUT = Ending(1006, 400, "no answer to a ping", True, "ping_timeout")
TOO_OLD = Ending(1012, 503, "connection reached its maximum age; reconnect", True, "too_old")
TOO_MANY_OF_ADDRESS = Ending(
    1013, 429, "too many connections from this address; try again later", True, "address_limit"
)
TOO_MANY_HANDSHAKES = Ending(1013, 503, "too many handshakes; try again later", True, "handshake_rate")
SLOW_CLIENT = Ending(1013, 503, "the client reads too slowly", True, "slow_client")
HANDSHAKE_TIMEOUT = Ending(1006, 503, "the application did not answer in time", True, "handshake_timeout")

BY_CODE = {
    ending.code: ending
    for ending in (
        NORMAL,
        GOING_AWAY,
        PROTOCOL_ERROR,
        UNSUPPORTED_DATA,
        NO_CODE,
        LOST,
        INVALID_TEXT,
        POLICY,
        TOO_BIG,
        APPLICATION_ERROR,
        RESTARTING,
        OVERLOADED,
        UNAUTHENTICATED,
        FORBIDDEN,
    )
}

# What the server itself refuses a handshake with, before the application is asked.
REFUSALS = (OVERLOADED, TOO_MANY_OF_ADDRESS, TOO_MANY_HANDSHAKES, RESTARTING)
EVERY = (*BY_CODE.values(), APPLICATION, PING_TIMEOUT, TOO_OLD, SLOW_CLIENT)

# RFC 6455 section 7.4.1: these describe what was (not) received and never stand in a close frame.
UNSENDABLE_CODES = frozenset({1004, 1005, 1006, 1015})


def restarting(seconds: int) -> Ending:
    """Return the ending of a client that is told when to come back."""
    return replace(RESTARTING, reason=f"{RESTARTING.reason} in {seconds} s")


def by_code(code: int) -> Ending:
    """Return the row for a close code; every code that has none of its own is the application's."""
    return BY_CODE.get(code, APPLICATION)


def sendable(code: int) -> bool:
    """Say whether a close frame may carry this code."""
    return 1000 <= code <= 4999 and code not in UNSENDABLE_CODES
