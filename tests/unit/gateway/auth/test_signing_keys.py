"""An issuer's keys are kept, followed through a rotation, and outlive an outage of the issuer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.auth.signing_keys import (
    FRESH_SECONDS,
    LOOK_AGAIN_SECONDS,
    OF_RSA,
    GivenKey,
    KeyInFile,
    PublishedKeys,
    usable_keys,
)
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.security.denial import Reason

PRIVATE = rsa.generate_private_key(65537, 2048)


def published(*key_ids: str, **more: Any) -> bytes:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(PRIVATE.public_key()))
    return json.dumps({"keys": [{**key, "kid": key_id, **more} for key_id in key_ids]}).encode()


class Issuer:
    """What stands at the URL, and a clock."""

    def __init__(self, document: bytes | None) -> None:
        self.document = document
        self.asked = 0
        self.now = 1000.0
        self.keys = PublishedKeys("https://id.example/jwks", get=self.get, clock=lambda: self.now)

    def get(self, url: str) -> bytes:
        self.asked += 1
        if self.document is None:
            raise OSError("connection refused")
        return self.document

    async def refusal(self, key_id: str) -> Reason:
        with pytest.raises(Rejected) as rejected:
            await self.keys.candidates(key_id)
        return rejected.value.reason


async def test_keys_are_fetched_once_for_many_connections() -> None:
    issuer = Issuer(published("a"))
    await asyncio.gather(*(issuer.keys.candidates("a") for _ in range(50)))
    assert issuer.asked == 1


async def test_a_new_key_is_looked_for_at_once() -> None:
    issuer = Issuer(published("a"))
    await issuer.keys.candidates("a")
    issuer.document = published("a", "b")
    issuer.now += LOOK_AGAIN_SECONDS
    await issuer.keys.candidates("b")
    assert issuer.asked == 2


async def test_keys_that_do_not_exist_make_nobody_ask_the_issuer_again_and_again() -> None:
    issuer = Issuer(published("a"))
    await issuer.keys.candidates("a")
    for number in range(100):
        assert await issuer.refusal(f"../../{number}") is Reason.TOKEN_KEY
    assert issuer.asked == 1


async def test_a_key_that_is_withdrawn_no_longer_holds_once_the_keys_are_old() -> None:
    issuer = Issuer(published("a", "b"))
    await issuer.keys.candidates("a")
    issuer.document = published("b")
    issuer.now += FRESH_SECONDS + 1
    await issuer.keys.candidates("a")  # the last one that is served from what was known
    while issuer.keys._looking is not None:
        await asyncio.sleep(0)
    assert await issuer.refusal("a") is Reason.TOKEN_KEY


async def test_known_keys_hold_for_an_hour_while_the_issuer_is_away() -> None:
    issuer = Issuer(published("a"))
    await issuer.keys.candidates("a")
    issuer.document = None
    issuer.now += 3500
    await issuer.keys.candidates("a")
    issuer.now += 200
    assert await issuer.refusal("a") is Reason.KEYS_UNAVAILABLE
    issuer.document = published("a")
    issuer.now += LOOK_AGAIN_SECONDS
    await issuer.keys.candidates("a")


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b'{"keys": 5}', b"\xff", b"[" * 100_000])
async def test_what_is_no_jwks_is_an_outage(document: bytes) -> None:
    assert await Issuer(document).refusal("a") is Reason.KEYS_UNAVAILABLE


def test_keys_that_are_for_other_things_are_left_out() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"}
    document = json.loads(published("enc", use="enc"))
    document["keys"] += [secret, {"kty": "XX", "kid": "x"}, 5, *json.loads(published("good"))["keys"]]
    assert list(usable_keys(json.dumps(document).encode())) == ["good"]


ODD: list[Any] = [
    {"kty": "RSA", "n": 5, "e": "AQAB", "kid": "odd"},
    {"kty": "RSA", "n": "A", "e": "AQAB", "kid": "odd"},
    {**json.loads(published("odd"))["keys"][0], "kid": ["x"]},
    {**json.loads(published("odd"))["keys"][0], "kid": 5},
    {**json.loads(published("odd"))["keys"][0], "alg": 5},
    {**json.loads(published("odd"))["keys"][0], "alg": "RSA-OAEP"},
    {"kty": "EC", "crv": "P-256", "x": 5, "y": 5},
    {"kty": "EC", "crv": "P-256", "x": "AQEB", "y": "AgIC"},
    {"kty": ["RSA"]},
    {"kty": "OKP", "crv": "X448", "x": "AA"},
]


@pytest.mark.parametrize("odd", ODD)
def test_a_key_that_nobody_can_read_leaves_the_others(odd: Any) -> None:
    document = {"keys": [*json.loads(published("before"))["keys"], odd, *json.loads(published("after"))["keys"]]}
    assert list(usable_keys(json.dumps(document).encode())) == ["before", "after"]


KINDS = {
    "RSA": (rsa.generate_private_key(65537, 2048), OF_RSA),
    "P-256": (ec.generate_private_key(ec.SECP256R1()), ("ES256",)),
    "P-384": (ec.generate_private_key(ec.SECP384R1()), ("ES384",)),
    "P-521": (ec.generate_private_key(ec.SECP521R1()), ("ES512",)),
    "secp256k1": (ec.generate_private_key(ec.SECP256K1()), ("ES256K",)),
    "Ed25519": (ed25519.Ed25519PrivateKey.generate(), ("EdDSA",)),
    "Ed448": (ed448.Ed448PrivateKey.generate(), ("EdDSA",)),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_algorithms_follow_from_the_kind_of_the_key_and_work_with_it(kind: str) -> None:
    private, algorithms = KINDS[kind]
    given = GivenKey(pem(private))
    assert given.algorithms == algorithms
    for algorithm in algorithms:
        signed = jwt.encode({"sub": "ann"}, private, algorithm)
        assert jwt.decode(signed, (await given.candidates(None))[0], [algorithm]) == {"sub": "ann"}


@pytest.mark.parametrize("private", [x25519.X25519PrivateKey.generate(), ec.generate_private_key(ec.BrainpoolP256R1())])
def test_a_key_that_no_algorithm_is_for_stops_the_start(private: Any) -> None:
    with pytest.raises(ConfigurationError, match="of the kind"):
        GivenKey(pem(private))


def pem(private: Any) -> str:
    public: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return public.decode()


async def test_a_key_in_a_file_is_the_one_that_stands_there_now(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("o" * 32 + "\n")
    keys = KeyInFile(path)
    assert keys.algorithms == ("HS256", "HS384", "HS512")
    assert await keys.candidates("any") == ("o" * 32,)
    path.write_text("n" * 33)
    assert await keys.candidates(None) == ("n" * 33,)


@pytest.mark.parametrize("bad", ["", "short", "pem"])
async def test_a_file_that_holds_no_key_of_that_kind_any_more_leaves_the_key_that_it_held(
    tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    pem = PRIVATE.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    path = tmp_path / "key"
    path.write_text("o" * 32)
    keys = KeyInFile(path)
    path.write_text(pem.decode() if bad == "pem" else bad)
    assert await keys.candidates(None) == ("o" * 32,)
    assert keys.algorithms == ("HS256", "HS384", "HS512")
    assert str(path) in caplog.text
    assert "BEGIN" not in caplog.text


@pytest.mark.parametrize("text", [None, "", "short", "-----BEGIN PRIVATE KEY-----"])
def test_a_file_without_a_key_stops_the_start(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigurationError, match=r"/key, with the key that JWTs are checked with: "):
        KeyInFile(tmp_path / "key")
