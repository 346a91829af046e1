"""Which JWTs are accepted, and what is told of those that are not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from channels.testing import WebsocketCommunicator
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from realtime_gateway.auth.identity import Rejected
from realtime_gateway.auth.jwt import JwtMiddleware, JwtRules
from realtime_gateway.auth.signing_keys import PublishedKeys
from realtime_gateway.security.denial import Reason, Receive, Scope, Send
from realtime_gateway.telemetry import recorder

# Tables of tokens are made when the tests are collected, which may be long before they run.
A_DAY_SECONDS = 86_400

RSA = rsa.generate_private_key(65537, 2048)
KEYS: dict[str, Any] = {
    "RS256": RSA,
    "PS384": RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    "HS256": "k" * 32,
}
seen: dict[str, Any] = {}


async def inner(scope: Scope, receive: Receive, send: Send) -> None:
    seen.update(scope)
    await receive()
    await send({"type": "websocket.accept"})


def public(key: Any) -> str:
    if isinstance(key, str):
        return key
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem.decode()


def middleware(algorithm: str = "RS256", **rules: Any) -> JwtMiddleware:
    given = {"user": lambda claims: claims.get("sub"), "issuer": "me", "audience": "chat", **rules}
    return JwtMiddleware(inner, rules=JwtRules(key=public(KEYS[algorithm]), **given))


def claims(**changed: Any) -> dict[str, Any]:
    made = {"sub": "ann", "iss": "me", "aud": "chat", "exp": int(time.time()) + A_DAY_SECONDS, **changed}
    return {name: value for name, value in made.items() if value is not None}


def token(algorithm: str = "RS256", headers: dict[str, Any] | None = None, **changed: Any) -> str:
    return jwt.encode(claims(**changed), KEYS[algorithm], algorithm, headers=headers)


async def user_of(given: str, **rules: Any) -> Any:
    return (await middleware(**rules).authenticate(given, {})).user


async def refusal(given: str, **rules: Any) -> Reason:
    with pytest.raises(Rejected) as rejected:
        await middleware(**rules).authenticate(given, {})
    assert given[:20] not in str(rejected.value)
    return rejected.value.reason


async def find(claims: Any) -> Any:
    return {"ann": "Ann"}.get(claims["sub"])


@pytest.mark.parametrize("user", [find, lambda claims: find(dict(claims))], ids=["async", "hidden"])
async def test_a_function_for_the_user_may_be_async_and_hide_it(user: Any) -> None:
    assert await user_of(token(), user=user) == "Ann"
    assert await refusal(token(sub="bob"), user=user) is Reason.USER_UNKNOWN


@pytest.mark.parametrize("algorithm", KEYS)
async def test_each_kind_of_key_is_used(algorithm: str) -> None:
    assert await user_of(token(algorithm), algorithm=algorithm) == "ann"


@pytest.mark.parametrize(
    "named", ["RS256", "PS256", "ES256", "ES384", "ES512", "ES256K", "EdDSA", "HS256", "none", "XX"]
)
@pytest.mark.parametrize("algorithm", KEYS)
async def test_an_algorithm_that_is_not_of_the_keys_kind_is_refused(algorithm: str, named: str) -> None:
    forged = f"{unsigned(alg=named)}{'A' * 86}"
    assert await refusal(forged, algorithm=algorithm) is Reason.TOKEN_INVALID


async def test_a_handshake_that_names_an_algorithm_of_another_kind_is_refused_and_counted() -> None:
    before = recorder.denials.values.get("token_invalid", 0)
    headers = [(b"authorization", f"Bearer {unsigned(alg='ES256')}{'A' * 86}".encode())]
    assert await WebsocketCommunicator(middleware("RS256"), "/ws/", headers=headers).connect() == (False, 4401)
    assert recorder.denials.values["token_invalid"] == before + 1


def unsigned(**header: Any) -> str:
    def part(content: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part(header)}.{part(claims())}."


def signed_with_the_public_key() -> str:
    import hashlib
    import hmac

    head = unsigned(alg="HS256", typ="JWT").rstrip(".")
    mac = hmac.new(public(RSA).encode(), head.encode(), hashlib.sha256).digest()
    return f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


STRANGER = rsa.generate_private_key(65537, 2048)
REFUSED: dict[str, tuple[str, Reason]] = {
    "it has expired": (token(exp=int(time.time()) - 60), Reason.TOKEN_EXPIRED),
    "it is not valid yet": (token(nbf=int(time.time()) + A_DAY_SECONDS), Reason.TOKEN_NOT_YET_VALID),
    "it never expires": (token(exp=None), Reason.TOKEN_INVALID),
    "it is for others": (token(aud="shop"), Reason.TOKEN_AUDIENCE),
    "it is of another issuer": (token(iss="somebody"), Reason.TOKEN_ISSUER),
    "nobody has signed it": (unsigned(alg="none"), Reason.TOKEN_INVALID),
    "nobody has signed it, in capitals": (unsigned(alg="NONE"), Reason.TOKEN_INVALID),
    "a stranger has signed it": (jwt.encode(claims(), STRANGER, "RS256"), Reason.TOKEN_INVALID),
    "the public key was taken for a secret": (signed_with_the_public_key(), Reason.TOKEN_INVALID),
    "it brings its own key": (
        jwt.encode(
            claims(), STRANGER, "RS256",
            headers={"jwk": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(STRANGER.public_key()))},
        ),
        Reason.TOKEN_INVALID,
    ),
    "it says where its key is": (
        jwt.encode(claims(), STRANGER, "RS256", headers={"jku": "https://evil.example/", "x5u": "https://evil.example/"}),
        Reason.TOKEN_INVALID,
    ),
    "its key id is no text": (unsigned(alg="RS256", kid=["a"]), Reason.TOKEN_MALFORMED),
    "its key id is a book": (token(headers={"kid": "a" * 5000}), Reason.TOKEN_MALFORMED),
    "it is no token": ("abc", Reason.TOKEN_MALFORMED),
    "its header is a number": ("NQ.NQ.NQ", Reason.TOKEN_MALFORMED),
    "it names nobody": (token(sub=None), Reason.USER_UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize(
    "changed", [{"exp": 1e400}, {"exp": []}, {"nbf": {}}, {"iat": "yesterday"}, {"aud": 5}, {"iss": 5}]
)
async def test_a_claim_of_another_type_is_refused(changed: dict[str, Any]) -> None:
    # As an issuer might sign it; PyJWT itself would not.
    signed = jwt.PyJWS().encode(json.dumps(claims(**changed)).encode(), RSA, "RS256")
    await refusal(signed)


async def test_an_issuer_that_no_rule_names_is_refused() -> None:
    assert await refusal(token(), issuer=None) is Reason.TOKEN_ISSUER
    assert await user_of(token(iss=None), issuer=None) == "ann"
    assert await user_of(token(), issuer=("you", "me")) == "ann"


@pytest.mark.parametrize("why", REFUSED)
async def test_a_token_is_refused_because(why: str) -> None:
    given, reason = REFUSED[why]
    assert await refusal(given) is reason


async def test_a_clock_may_differ_by_the_leeway() -> None:
    late = token(exp=int(time.time()) - 20)
    assert await user_of(late) == "ann"
    assert await refusal(late, leeway_seconds=5) is Reason.TOKEN_EXPIRED


async def test_the_user_may_be_found_by_a_callable_that_is_async() -> None:
    async def find(found: Any) -> str:
        return f"the user {found['sub']}"

    assert await user_of(token(), user=find) == "the user ann"


@pytest.mark.parametrize("offered", [["bearer", token()], ["bearer", token(), "chat.v1"]])
async def test_a_browser_sends_it_as_a_subprotocol_and_never_gets_it_back(offered: list[str]) -> None:
    client = WebsocketCommunicator(middleware(), "/ws/", subprotocols=offered)
    assert await client.connect() == (True, "bearer")
    assert seen["user"] == "ann"
    assert offered[1] not in repr(seen)


async def test_a_bad_token_is_refused_and_none_is_nobody() -> None:
    bad = WebsocketCommunicator(middleware(), "/ws/", headers=[(b"authorization", b"Bearer abc")])
    assert await bad.connect() == (False, 4401)
    none = WebsocketCommunicator(middleware(), "/ws/")
    assert (await none.connect())[0]
    assert str(seen["user"]) == "AnonymousUser"


async def test_a_token_may_be_required() -> None:
    client = WebsocketCommunicator(JwtMiddleware(inner, rules=middleware().rules, required=True), "/ws/")
    assert await client.connect() == (False, 4401)


@pytest.mark.parametrize("key_id", [None, "one for all"])
async def test_keys_that_an_issuer_tells_apart_by_no_id_are_tried_one_after_the_other(
    key_id: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = [RSA, rsa.generate_private_key(65537, 2048), KEYS["ES256"]]
    jwks = [jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for key in private[:2]]
    jwks.append(jwt.algorithms.ECAlgorithm.to_jwk(KEYS["ES256"].public_key(), as_dict=True))
    document = json.dumps({"keys": [jwk | ({"kid": key_id} if key_id else {}) for jwk in jwks]}).encode()
    rules = {"jwks_url": "https://id.example/jwks", "issuer": "me", "audience": "chat", "user": lambda one: one["sub"]}
    stack = JwtMiddleware(inner, rules=JwtRules(**rules))
    monkeypatch.setattr(stack, "_keys", PublishedKeys("https://id.example/jwks", get=lambda url: document))
    headers = {"kid": key_id} if key_id else None
    for key, algorithm in zip(private, ("RS256", "RS256", "ES256"), strict=True):
        assert (await stack.authenticate(jwt.encode(claims(), key, algorithm, headers), {})).user == "ann"
        with pytest.raises(Rejected) as late:
            await stack.authenticate(jwt.encode(claims(exp=1), key, algorithm, headers), {})
        assert late.value.reason is Reason.TOKEN_EXPIRED
    stranger = rsa.generate_private_key(65537, 2048)
    with pytest.raises(Rejected) as rejected:
        await stack.authenticate(jwt.encode(claims(), stranger, "RS256", headers), {})
    assert rejected.value.reason is Reason.TOKEN_INVALID
