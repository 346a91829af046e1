"""Access tokens of ``djangorestframework-simplejwt``, by its own settings; the extra ``simplejwt``."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.module_loading import import_string

from realtime_gateway.auth.identity import Identity, Rejected
from realtime_gateway.auth.token_middleware import TokenMiddleware
from realtime_gateway.auth.token_sources import Header, Query, Subprotocol, TokenSource
from realtime_gateway.security.denial import Reason, Scope


class SimpleJWTAuthTokenMiddleware(TokenMiddleware):
    """``Authorization: Bearer …``, or the subprotocols ``bearer`` and the token; one query.

    Attributes:
        authentication_class: dotted path; ``JWTStatelessUserAuthentication`` asks no database.
    """

    sources: ClassVar[tuple[TokenSource, ...]] = (Header(("Bearer", "JWT")), Subprotocol())
    authentication_class: ClassVar[str] = "rest_framework_simplejwt.authentication.JWTAuthentication"

    def authenticate(self, token: str, scope: Scope) -> Any:
        """Ask the authentication class."""
        authentication = import_string(self.authentication_class)()
        try:
            validated = authentication.get_validated_token(token.encode())
        except Exception as error:
            if _has_expired(error):
                raise Rejected(Reason.TOKEN_EXPIRED) from None
            raise
        return Identity(
            authentication.get_user(validated),
            expires_at=float(validated["exp"]) + validated.get_token_backend().get_leeway().total_seconds(),
            credential=f"simplejwt:{validated.get('jti', '')}",
            claims=dict(validated.payload),
        )


class QueryStringSimpleJWTAuthTokenMiddleware(SimpleJWTAuthTokenMiddleware):
    """The same with the token in the query string, as ``?token=…``."""

    sources: ClassVar[tuple[TokenSource, ...]] = (Query(),)


def _has_expired(error: Exception) -> bool:
    """Say whether every token class found that it has expired; they tell no other way."""
    detail = getattr(error, "detail", None)
    messages = detail.get("messages", []) if isinstance(detail, dict) else []
    return bool(messages) and all("expired" in str(message.get("message", "")) for message in messages)
