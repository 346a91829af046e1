"""What is known to everybody is not taken for a secret, whatever form it has; a secret is, whatever it looks like."""

from __future__ import annotations

import base64
import json
import secrets

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from realtime_gateway.auth.public_text import refuse_what_is_public
from realtime_gateway.auth.signing_keys import GivenKey
from realtime_gateway.errors import ConfigurationError

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
SPKI = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
JWK = jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
PUBLIC = {
    "a JWK": json.dumps(JWK),
    "a JWKS": json.dumps({"keys": [JWK]}, indent=1),
    "an SSH key": RSA.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    "an SSH key of a curve": EC.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    "base64 of a key": base64.b64encode(SPKI).decode(),
    "base64 of a key in lines": base64.encodebytes(SPKI).decode(),
    "base64 of a key for URLs": base64.urlsafe_b64encode(SPKI).decode().rstrip("="),
    "base64 of a key of a curve": base64.b64encode(
        EC.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).decode(),
    "base64 of PKCS 1": base64.b64encode(RSA.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)).decode(),
    "base64 of a private key": base64.b64encode(
        EC.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    ).decode(),
}


@pytest.mark.parametrize("what", PUBLIC)
def test_it_stops_the_start_and_is_not_shown(what: str) -> None:
    with pytest.raises(ConfigurationError, match="no secret") as refused:
        GivenKey(PUBLIC[what])
    assert "PEM" in refused.value.remedy
    assert PUBLIC[what][20:40] not in str(refused.value)


@pytest.mark.parametrize(
    "secret",
    [
        base64.b64encode(secrets.token_bytes(64)).decode(),
        base64.b64encode(b"0" * 50).decode(),  # begins as DER does
        secrets.token_hex(32),
        "1" * 40,
        "{" * 40,
        "correct horse battery staple, and some more of it",
    ],
)
def test_a_secret_is_taken(secret: str) -> None:
    refuse_what_is_public(secret)
    assert GivenKey(secret).algorithms == ("HS256", "HS384", "HS512")
