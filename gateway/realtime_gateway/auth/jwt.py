"""JSON Web Tokens of an issuer of your own or of another's, checked by PyJWT; the extra ``jwt``.

    REALTIME_GATEWAY = {
        "AUTH_STACK": "jwt",
        "JWT": {"JWKS_URL": "https://id.example.com/jwks.json", "ISSUER": "https://id.example.com", "AUDIENCE": "chat"},
    }

Which algorithms are accepted follows from the key, never from the token; the headers ``jku``, ``x5u`` and ``jwk`` of a
token are not looked at (RFC 8725 sections 3.1 and 3.10).
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jwt
from channels.db import database_sync_to_async
from django.utils.module_loading import import_string

from realtime_gateway.auth.identity import Identity, Rejected
from realtime_gateway.auth.signing_keys import GivenKey, KeyInFile, PublishedKeys, SigningKeys
from realtime_gateway.auth.token_middleware import TokenMiddleware
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Application, Reason, Scope
from realtime_gateway.security.site_functions import result_of

MAX_KEY_ID_CHARACTERS = 256

# PyJWT's errors, the more special first.
REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (jwt.ExpiredSignatureError, Reason.TOKEN_EXPIRED),
    (jwt.ImmatureSignatureError, Reason.TOKEN_NOT_YET_VALID),
    (jwt.InvalidAudienceError, Reason.TOKEN_AUDIENCE),
    (jwt.InvalidIssuerError, Reason.TOKEN_ISSUER),
    (jwt.InvalidSignatureError, Reason.TOKEN_INVALID),
    (jwt.InvalidAlgorithmError, Reason.TOKEN_INVALID),
    (jwt.DecodeError, Reason.TOKEN_MALFORMED),
)


@dataclass(frozen=True)
class JwtRules:
    """What a token must be, beside being signed with the key.

    Attributes:
        key: a secret (HS256, HS384, HS512) or a public key as PEM (all others); or
        key_file: a file with such a key, which is followed; or
        jwks_url: where the issuer publishes its keys. Exactly one of the three.
        issuer: what ``iss`` must be, or one of several; None refuses a token that has one: an issuer of many sites may
            sign for all of them with one key (RFC 8725 section 3.8).
        audience: what ``aud`` must contain; None refuses a token that has one, as RFC 7519 section 4.1.3 wants.
        leeway_seconds: how far the issuer's clock may differ.
        algorithms: fewer than the key allows.
        user_claim: the claim that names the user.
        user_field: the field of the user model that it names; "pk" for none in particular.
        user: a callable, or its dotted path, that returns the user of the claims, or None; may be ``async``.
        require_expiry: refuse a token without ``exp``, which could never be got rid of.
    """

    key: str | None = field(default=None, repr=False)
    key_file: str | Path | None = None
    jwks_url: str | None = None
    issuer: str | tuple[str, ...] | None = None
    audience: str | tuple[str, ...] | None = None
    leeway_seconds: float = 30.0
    algorithms: tuple[str, ...] = ()
    user_claim: str = "sub"
    user_field: str = "pk"
    user: str | Callable[[Mapping[str, Any]], Any] | None = None
    require_expiry: bool = True

    def __post_init__(self) -> None:
        if [self.key, self.key_file, self.jwks_url].count(None) != 2:
            raise ConfigurationError(
                "JWTs are checked with exactly one of a key, a file with a key, and the address of a JWKS.",
                'Set REALTIME_GATEWAY["JWT"] to {"JWKS_URL": …}, {"KEY_FILE": …} or {"KEY": …}.',
            )

    def signing_keys(self) -> SigningKeys:
        """Return where keys come from.

        Raises:
            ConfigurationError: the key cannot be used.
        """
        if self.key_file is not None:
            return KeyInFile(Path(self.key_file))
        return GivenKey(self.key) if self.key is not None else PublishedKeys(self.jwks_url or "")


def rules_of(given: Mapping[str, Any]) -> JwtRules:
    """Read the settings' form: names in capitals.

    Raises:
        ConfigurationError: a name is unknown.
    """
    known = {name.upper(): name for name in JwtRules.__dataclass_fields__}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name in known:
            values[known[name]] = tuple(value) if isinstance(value, list) else value
        else:
            raise ConfigurationError(
                f'REALTIME_GATEWAY["JWT"] has the unknown key {name!r}.',
                f"It may have {', '.join(known)}.",
            )
    return JwtRules(**values)


class JwtMiddleware(TokenMiddleware):
    """Checks a token by its rules; closes the connection when it expires.

    Attributes:
        rules: left out, those of ``REALTIME_GATEWAY["JWT"]``.
    """

    rules: ClassVar[JwtRules | None] = None

    def __init__(self, inner: Application, **attributes: Any) -> None:
        super().__init__(inner, **attributes)
        self._rules = self.rules or _rules_of_settings()
        self._keys = self._rules.signing_keys()
        self._algorithms = tuple(self._rules.algorithms or self._keys.algorithms)
        if stray := set(self._algorithms) - set(self._keys.algorithms):
            raise ConfigurationError(
                f"JWTs cannot be checked by {', '.join(sorted(stray))} with the key that is given."
            )
        user = self._rules.user
        self._user_of = import_string(user) if isinstance(user, str) else user

    async def authenticate(self, token: str, scope: Scope) -> Any:
        """Return the token's user."""
        claims = await self._verified(token)
        user = await self._user(claims)
        if user is None:
            raise Rejected(Reason.USER_UNKNOWN, "its token names nobody who may log in")
        expires_at = float(claims["exp"]) + self._rules.leeway_seconds if "exp" in claims else None
        # Without an id, the digest of the token itself stands for it.
        credential = f"jwt:{claims['jti']}" if claims.get("jti") else ""
        return Identity(user, expires_at=expires_at, credential=credential, claims=claims)

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            claims = self._decoded(token, await self._keys.candidates(key_id_of(token)))
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError) as error:  # claims of other types
            reason = next((reason for kind, reason in REASONS if isinstance(error, kind)), Reason.TOKEN_INVALID)
            raise Rejected(reason, f"its token is not accepted: {type(error).__name__}") from None
        if self._rules.issuer is None and "iss" in claims:
            raise Rejected(Reason.TOKEN_ISSUER, "its token names an issuer, and the rules name none")
        return claims

    def _decoded(self, token: str, keys: Sequence[Any]) -> dict[str, Any]:
        rules = self._rules
        for number, key in enumerate(keys, 1):
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=list(self._algorithms),
                    issuer=rules.issuer,
                    audience=rules.audience,
                    leeway=rules.leeway_seconds,
                    options={"require": ["exp"] if rules.require_expiry else []},
                )
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                if number == len(keys):
                    raise
        raise jwt.InvalidSignatureError

    async def _user(self, claims: Mapping[str, Any]) -> Any:
        if self._user_of is None:
            return await database_sync_to_async(self._user_by_claim)(claims)
        return await result_of(self._user_of, claims)

    def _user_by_claim(self, claims: Mapping[str, Any]) -> Any:
        from django.contrib.auth import get_user_model
        from django.core.exceptions import ValidationError

        named = claims.get(self._rules.user_claim)
        if not isinstance(named, str | int) or isinstance(named, bool):
            return None
        model = get_user_model()
        try:
            user = model._default_manager.get(**{self._rules.user_field: named})
        except (model.DoesNotExist, model.MultipleObjectsReturned, ValueError, OverflowError, ValidationError):
            return None  # a UUID key raises ValidationError for what is none
        return user if getattr(user, "is_active", True) else None


def key_id_of(token: str) -> str | None:
    """Return the id of the key that a token names; PyJWT, which would check more, does so again when it decodes.

    Raises:
        Rejected: its header is none, or the id is none that could exist.
    """
    try:
        header = json.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, RecursionError):
        raise Rejected(Reason.TOKEN_MALFORMED, "its token has no header") from None
    key_id = header.get("kid") if isinstance(header, dict) else None
    if key_id is None or (isinstance(key_id, str) and len(key_id) <= MAX_KEY_ID_CHARACTERS):
        return key_id
    raise Rejected(Reason.TOKEN_MALFORMED, "its token names no key that could exist")


def _rules_of_settings() -> JwtRules:
    from realtime_gateway.settings import gateway_settings

    return rules_of(gateway_settings().jwt or {})
