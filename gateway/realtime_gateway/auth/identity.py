"""Who a client turned out to be, and how one says that it is nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from realtime_gateway.errors import GatewayError
from realtime_gateway.security.denial import Reason


@dataclass(frozen=True)
class Identity:
    """What a stack found out.

    Attributes:
        user: what becomes ``scope["user"]``.
        expires_at: when the connection must end, in seconds since the epoch; None leaves it open.
        credential: a digest of the session key or token, by which it can be revoked; "" for none.
        backend: the dotted path of the authentication backend of a session; "" for tokens.
        session_key: of the session that holds the login; "" for tokens.
        session_hash: the user's session hash when it connected; "" where the user has none.
        claims: of a JWT.
        token: the row of a token that is kept in the database; when it is gone, the connection ends at the next look.
    """

    user: Any
    expires_at: float | None = None
    credential: str = ""
    backend: str = ""
    session_key: str = field(default="", repr=False)
    session_hash: str = field(default="", repr=False)
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    token: Any = field(default=None, repr=False)


class Rejected(GatewayError):
    """A credential that is not accepted. Its text is logged, so it must not hold the credential.

    Attributes:
        reason: what is counted, and what the client is told.
    """

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.told)
        self.reason = reason


def digest(secret: str) -> str:
    """Return what stands for a session key or token where others may read it."""
    return sha256(secret.encode()).hexdigest()
