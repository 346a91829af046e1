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
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any, Protocol

import jwt

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Reason

logger = logging.getLogger("realtime_gateway.security")

FRESH_SECONDS = 300.0
USABLE_SECONDS = 3600.0
# Between two looks for a key that is not known, and after a look that failed.
LOOK_AGAIN_SECONDS = 5.0
FETCH_SECONDS = 5.0
MAX_DOCUMENT_BYTES = 256 * 1024
# RFC 7518 section 3.2: a key of HS256 has at least the hash's length.
MIN_SECRET_BYTES = 32

SYMMETRIC = ("HS256", "HS384", "HS512")
# PyJWT derives the algorithm of a published key from its type; RS384 and the like only where the key says so.
ASYMMETRIC = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "ES256K", "EdDSA",
)  # fmt: skip


class SigningKeys(Protocol):
    """Where a key comes from.

    Raises:
        Rejected: no key is known by that id, or the keys cannot be fetched.
    """

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The algorithms that the keys may be used with."""

    async def key(self, key_id: str | None) -> Any:
        """Return what PyJWT verifies with."""


class GivenKey:
    """One key from the settings: a secret for HS, or a public key as PEM for the others.

    The two never share a list of algorithms: a public key taken for a secret would let anybody sign.

    Raises:
        ConfigurationError: it is no public key, a private one, or a secret that can be guessed.
    """

    def __init__(self, text: str) -> None:
        if "PRIVATE KEY" in text:
            raise ConfigurationError("The key that JWTs are checked with is a private key.", "Give the public one.")
        if "-----BEGIN" in text:
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            try:
                self._key: Any = load_pem_public_key(text.encode())
            except ValueError as error:
                raise ConfigurationError("The public key that JWTs are checked with cannot be read.") from error
            self.algorithms: tuple[str, ...] = ASYMMETRIC
        else:
            if len(text.encode()) < MIN_SECRET_BYTES:
                raise ConfigurationError(
                    f"The secret that JWTs are checked with is shorter than {MIN_SECRET_BYTES} bytes."
                )
            self._key = text
            self.algorithms = SYMMETRIC

    async def key(self, key_id: str | None) -> Any:
        """Return the key, whatever id a token names."""
        return self._key


def fetch(url: str) -> bytes:
    """Read a document, bounded in time and bytes; runs in a thread.

    Raises:
        OSError: it cannot be had.
    """
    with urllib.request.build_opener(_NoRedirects()).open(url, timeout=FETCH_SECONDS) as response:
        document: bytes = response.read(MAX_DOCUMENT_BYTES + 1)
    if len(document) > MAX_DOCUMENT_BYTES:
        raise OSError(f"it is longer than {MAX_DOCUMENT_BYTES} bytes")
    return document


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Keys come from where they are said to be, and nowhere else."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


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
        self._keys: dict[str | None, Any] = {}
        self._fetched_at = -USABLE_SECONDS
        self._looked_at = -LOOK_AGAIN_SECONDS
        self._looking: asyncio.Task[None] | None = None

    async def key(self, key_id: str | None) -> Any:
        """Return the key by its id; without one, the only key there is."""
        found = self._known(key_id)
        if self._clock() - self._fetched_at > FRESH_SECONDS or found is None:
            looking = self._look()
            if looking is not None and found is None:
                await asyncio.shield(looking)
                found = self._known(key_id)
        if found is not None:
            return found
        if not self._usable():
            raise Rejected(Reason.KEYS_UNAVAILABLE, "the issuer's keys cannot be fetched")
        raise Rejected(Reason.TOKEN_KEY, "its token is signed with a key that the issuer does not publish")

    def _usable(self) -> bool:
        return self._clock() - self._fetched_at <= USABLE_SECONDS

    def _known(self, key_id: str | None) -> Any:
        if not self._usable():
            return None
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

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
        except (OSError, ValueError) as error:
            logger.warning("The keys at %s cannot be fetched: %s", _without_secrets(self._url), error)
            return
        self._keys = keys
        self._fetched_at = self._clock()


def usable_keys(document: bytes) -> dict[str | None, Any]:
    """Return the public signature keys of a JWKS by id; what cannot be used is left out.

    Raises:
        ValueError: it is no JWKS.
    """
    content = json.loads(document)
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no JWKS")
    keys: dict[str | None, Any] = {}
    for entry in listed:
        # A symmetric key that is published is no secret.
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK.from_dict(entry)
        except jwt.PyJWTError:
            continue
        if key.algorithm_name in ASYMMETRIC:
            keys[key.key_id] = key
    return keys


def _without_secrets(url: str) -> str:
    return url.partition("?")[0].rpartition("@")[2]
