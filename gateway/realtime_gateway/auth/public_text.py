"""Keys that are no secret and are no PEM either: taken for the secret of HS256, they would let anybody sign."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509 import load_der_x509_certificate

from realtime_gateway.errors import ConfigurationError

SSH = ("ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "---- BEGIN SSH2")
AS_PEM = "Give the public key as PEM, with its line -----BEGIN PUBLIC KEY-----."


def refuse_what_is_public(text: str) -> None:
    """Return for what may be a secret.

    Raises:
        ConfigurationError: it is JSON (a JWK or a JWKS), a key of SSH, or the base64 of a key or certificate (DER), as
            consoles of issuers show it. The message shows nothing of it.
    """
    if _is_json(text):
        raise ConfigurationError(
            "The key that JWTs are checked with is JSON, such as a JWK or a JWKS, which is no secret.",
            f"{AS_PEM} Keys that an issuer publishes are read from JWKS_URL.",
        )
    if text.lstrip().startswith(SSH):
        raise ConfigurationError("The key that JWTs are checked with is a key of SSH, which is no secret.", AS_PEM)
    if _is_der(text):
        raise ConfigurationError(
            "The key that JWTs are checked with is a key or certificate as bare base64 (DER), which is no secret.",
            AS_PEM,
        )


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _is_der(text: str) -> bool:
    compact = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        content = b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except ValueError:
        return False
    return any(_reads(read, content) for read in (load_der_public_key, load_der_x509_certificate, _private_key))


def _private_key(content: bytes) -> object:
    return load_der_private_key(content, None)


def _reads(read: Callable[[bytes], object], content: bytes) -> bool:
    try:
        read(content)
    except UnsupportedAlgorithm:  # a key of a rare kind is one all the same
        return True
    except (ValueError, TypeError):
        return False
    return True
