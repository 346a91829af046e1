"""Tokens of Django REST framework (``rest_framework.authtoken``); the extra ``drf``."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils.module_loading import import_string

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.token_middleware import TokenMiddleware
from realtime_gateway.auth.token_sources import Header, Subprotocol, TokenSource
from realtime_gateway.security.denial import Scope


class DRFAuthTokenMiddleware(TokenMiddleware):
    """``Authorization: Token …``, or the subprotocols ``bearer`` and the token; one query.

    Attributes:
        authentication_class: dotted path; a subclass of ``TokenAuthentication`` with a token model of your own.
    """

    sources: ClassVar[tuple[TokenSource, ...]] = (Header(("Token", "Bearer")), Subprotocol())
    authentication_class: ClassVar[str] = "rest_framework.authentication.TokenAuthentication"

    def authenticate(self, token: str, scope: Scope) -> Any:
        """Ask the authentication class."""
        user, row = import_string(self.authentication_class)().authenticate_credentials(token)
        return Identity(user, token=row)
