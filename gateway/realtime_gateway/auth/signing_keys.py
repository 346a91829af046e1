"""The keys that tokens are signed with: one that is given, or those that an issuer publishes as a JWKS (RFC 7517).

Published keys are kept and fetched again in the background when they are old; a key that is not known is a reason to
look at once, but not more often than every few seconds, whatever strangers send. While the issuer is away, the keys
that are known hold for an hour.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import jwt

from realtime_gateway.auth.fetching import fetch
from realtime_gateway.auth.identity import Rejected
from realtime_gateway.auth.public_text import refuse_what_is_public
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.secret_file import SecretFile
from realtime_gateway.security.denial import Reason

logger = logging.getLogger("realtime_gateway.security")

FRESH_SECONDS = 300.0
USABLE_SECONDS = 3600.0
# Between two looks for a key that is not known, and after a look that failed.
LOOK_AGAIN_SECONDS = 5.0
# RFC 7518 section 3.2: a key of HS256 has at least the hash's length.
MIN_SECRET_BYTES = 32

SYMMETRIC = ("HS256", "HS384", "HS512")
OF_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
OF_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512", "secp256k1": "ES256K"}
# PyJWT derives the algorithm of a published key from its type; RS384 and the like only where the key says so.
ASYMMETRIC = (*OF_RSA, *OF_CURVES.values(), "EdDSA")


class SigningKeys(Protocol):
    """Where a key comes from.

    Raises:
        Rejected: no key is known by that id, or the keys cannot be fetched.
    """

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that the keys may be used with."""

    async def candidates(self, key_id: str | None) -> Sequence[Any]:
        """Return what PyJWT may verify with; several, where an issuer tells them apart by no id."""


class GivenKey:
    """One key from the settings: a secret for HS, or a public key as PEM for the others.

    The two never share a list of algorithms: a public key taken for a secret would let anybody sign. Nor do public keys
    of two kinds: PyJWT raises what is none of its errors for a key that is not of the algorithm's kind.

    Raises:
        ConfigurationError: it is no public key, a private one, a public key in another form than PEM, or a secret that
            can be guessed.
    """

    def __init__(self, text: str) -> None:
        if "PRIVATE KEY" in text:
            raise ConfigurationError("The key that JWTs are checked with is a private key.", "Give the public one.")
        if "-----BEGIN" in text:
            from cryptography.exceptions import UnsupportedAlgorithm
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            try:
                self._key: Any = load_pem_public_key(text.encode())
            except (ValueError, UnsupportedAlgorithm) as error:
                raise ConfigurationError("The public key that JWTs are checked with cannot be read.") from error
            self.algorithms: tuple[str, ...] = algorithms_of(self._key)
        else:
            if len(text.encode()) < MIN_SECRET_BYTES:
                raise ConfigurationError(
                    f"The secret that JWTs are checked with is shorter than {MIN_SECRET_BYTES} bytes."
                )
            refuse_what_is_public(text)
            self._key = text
            self.algorithms = SYMMETRIC

    async def candidates(self, key_id: str | None) -> Sequence[Any]:
        """Return the key, whatever id a token names."""
        return (self._key,)


class KeyInFile:
    """The key that a file holds now. Another one takes its place at once, if it is of the same kind.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.algorithms: tuple[str, ...] = ()
        self._file = SecretFile(path, "the key that JWTs are checked with", self._read)

    async def candidates(self, key_id: str | None) -> Sequence[Any]:
        """Return the key, whatever id a token names."""
        return await self._file.look().candidates(key_id)

    def _read(self, text: str) -> GivenKey:
        key = GivenKey(text)
        # Which algorithms are accepted was checked at the start, against the rules.
        if self.algorithms and key.algorithms != self.algorithms:
            raise ConfigurationError("it holds a key of another kind now.", "Start the process again to change that.")
        self.algorithms = key.algorithms
        return key


def algorithms_of(key: Any) -> tuple[str, ...]:
    """Return the algorithms that a public key can be used with (RFC 7518 section 3.1, RFC 8037, RFC 8812).

    Raises:
        ConfigurationError: there are none.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return OF_RSA
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in OF_CURVES:
        return (OF_CURVES[key.curve.name],)
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return ("EdDSA",)
    raise ConfigurationError(
        f"JWTs cannot be checked with a public key of the kind {type(key).__name__.removesuffix('PublicKey')}.",
        "Use RSA, an elliptic curve (P-256, P-384, P-521, secp256k1), Ed25519 or Ed448.",
    )


class PublishedKeys:
    """The keys at a URL, shared by all connections of a process.

    Args:
        url: of the JWKS; https, or http where nobody can stand in between.
        get: how a document is read.
        clock: in seconds, only for differences.
    """

    algorithms = ASYMMETRIC

    def __init__(
        self,
        url: str,
        get: Callable[[str], bytes] = fetch,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not url.startswith(("https://", "http://")):
            raise ConfigurationError("The address of a JWKS must begin with https:// or http://.")
        self._url = url
        self._get = get
        self._clock = clock
        self._keys: dict[str | None, list[Any]] = {}
        self._fetched_at = -USABLE_SECONDS
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._looking: asyncio.Task[None] | None = None

    async def candidates(self, key_id: str | None) -> Sequence[Any]:
        """Return the keys of an id; without one, those without, or the only key there is."""
        found = self._known(key_id)
        if self._clock() - self._fetched_at > FRESH_SECONDS or not found:
            looking = self._look()
            if looking is not None and not found:
                await asyncio.shield(looking)
                found = self._known(key_id)
        if found:
            return found
        if not self._usable():
            raise Rejected(Reason.KEYS_UNAVAILABLE, "the issuer's keys cannot be fetched")
        raise Rejected(Reason.TOKEN_KEY, "its token is signed with a key that the issuer does not publish")

    def _usable(self) -> bool:
        return self._clock() - self._fetched_at <= USABLE_SECONDS

    def _known(self, key_id: str | None) -> Sequence[Any]:
        if not self._usable():
            return ()
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id, ())

    def _look(self) -> asyncio.Task[None] | None:
        """Return the look under way, or begin one unless the last was a moment ago."""
        if self._looking is not None and self._looking.get_loop() is asyncio.get_running_loop():
            return self._looking
        if self._clock() - self._looked_at < LOOK_AGAIN_SECONDS:
            return None
        self._looked_at = self._clock()
        self._looking = asyncio.create_task(self._refresh(), name="realtime_gateway.jwks")
        self._looking.add_done_callback(self._looked)
        return self._looking

    def _looked(self, task: asyncio.Task[None]) -> None:
        if self._looking is task:
            self._looking = None

    async def _refresh(self) -> None:
        try:
            keys = usable_keys(await asyncio.to_thread(self._get, self._url))
        except (OSError, ValueError, RecursionError) as error:  # a document of brackets only
            logger.warning("The keys at %s cannot be fetched: %s", _without_secrets(self._url), error)
            return
        self._keys = keys
        self._fetched_at = self._clock()


def usable_keys(document: bytes) -> dict[str | None, list[Any]]:
    """Return the public signature keys of a JWKS by id, which several may share or lack; others are left out.

    Raises:
        ValueError: it is no JWKS.
    """
    content = json.loads(document)
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no JWKS")
    keys: dict[str | None, list[Any]] = {}
    for entry in listed:
        # A symmetric key that is published is no secret.
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        key_id = entry.get("kid")
        if key_id is not None and not isinstance(key_id, str):
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except Exception as error:  # PyJWT takes a field of another type for granted; the other keys hold
            logger.debug("A published key cannot be read: %s", type(error).__name__)
            continue
        if key.algorithm_name in ASYMMETRIC:
            keys.setdefault(key_id, []).append(key)
    return keys


def _without_secrets(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]
