"""What somebody tries who has no token, an old one, another's, or one of their own making."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
import websockets

from tests.attacks.conftest import Shop, greeting

# Tables of tokens are made when the tests are collected, which may be long before they run.
A_DAY_SECONDS = 86_400

KEY = "j" * 32


def token(key: str = KEY, headers: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {"sub": "1", "iss": "shop", "aud": "chat", "exp": int(time.time()) + A_DAY_SECONDS, **changed}
    return jwt.encode(claims, key, "HS256", headers=headers)


def bearing(value: str, keyword: str = "Bearer") -> dict[str, Any]:
    return {"additional_headers": {"Authorization": f"{keyword} {value}"}}


async def test_who_comes_honestly_is_let_in(shop: Shop) -> None:
    ann = shop.users["ann"]
    assert await shop.user("/jwt/", **bearing(token(sub=ann["pk"]))) == "ann"
    assert await shop.user("/drf/", **bearing(ann["drf"], "Token")) == "ann"
    assert await shop.user("/simplejwt/", **bearing(ann["simplejwt"])) == "ann"
    assert await shop.user("/query/?token=" + ann["simplejwt"]) == "ann"
    assert await shop.user("/cookie/", additional_headers={"Cookie": f"jwt-auth={ann['simplejwt']}"}) == "ann"
    assert await shop.user("/knox/", **bearing(ann["knox"], "Token")) == "ann"
    assert await shop.user("/jwt/") == ""


def forged(algorithm: str) -> str:
    """A token whose header names an algorithm of their choice, over a signature of zeros."""

    def part(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).rstrip(b"=").decode()

    return ".".join(map(part, (json.dumps({"alg": algorithm}).encode(), b"{}", bytes(64))))


ATTACKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "an expired token": ("/jwt/", bearing(token(exp=int(time.time()) - 60)), "token_expired"),
    "a token that is not valid yet": ("/jwt/", bearing(token(nbf=int(time.time()) + A_DAY_SECONDS)),
                                      "token_not_yet_valid"),
    "a token without an end": ("/jwt/", bearing(jwt.encode({"sub": "1", "iss": "shop", "aud": "chat"}, KEY, "HS256")),
                               "token_invalid"),
    "a token for another site": ("/jwt/", bearing(token(aud="bank")), "token_audience"),
    "a token of another issuer": ("/jwt/", bearing(token(iss="eve")), "token_issuer"),
    "a token signed with a key of their own": ("/jwt/", bearing(token("e" * 32)), "token_invalid"),
    "a token that nobody signed": ("/jwt/", bearing(jwt.encode({"sub": "1"}, None, "none")), "token_invalid"),
    "a token that names its own key server": ("/jwt/", bearing(token("e" * 32, {"jku": "https://eve.test/"})),
                                              "token_invalid"),
    "a path as the key's id": ("/jwt/", bearing(token("e" * 32, {"kid": "../../dev/null"})), "token_invalid"),
    "an elliptic algorithm for an RSA key": ("/rsa/", bearing(forged("ES256")), "token_invalid"),
    "Edwards curves for an RSA key": ("/rsa/", bearing(forged("EdDSA")), "token_invalid"),
    "a shared secret's algorithm for an RSA key": ("/rsa/", bearing(forged("HS256")), "token_invalid"),
    "an RSA algorithm for a shared secret": ("/jwt/", bearing(forged("RS256")), "token_invalid"),
    "a huge token": ("/jwt/", bearing("a" * 9000), "token_malformed"),
    "rubbish": ("/jwt/", bearing("rubbish"), "token_malformed"),
    "a user who does not exist": ("/jwt/", bearing(token(sub="999")), "user_unknown"),
    "a user's name that is SQL": ("/jwt/", bearing(token(sub="1 OR 1=1")), "user_unknown"),
    "no token where one is needed": ("/required/", {}, "token_missing"),
    "a guessed token": ("/drf/", bearing("0" * 40, "Token"), "token_invalid"),
    "a guessed knox token": ("/knox/", bearing("0" * 64, "Token"), "token_invalid"),
    "a made up access token": ("/simplejwt/", bearing(token("e" * 32)), "token_invalid"),
    "a made up access token in the query": ("/query/?token=a.b.c", {}, "token_invalid"),
    "two tokens in the query": ("/query/?token=a&token=b", {}, "token_malformed"),
    "a line break in the query's token": ("/query/?token=a%0d%0aSet-Cookie:x", {}, "token_malformed"),
    "a made up cookie": ("/cookie/", {"additional_headers": {"Cookie": "jwt-auth=x"}}, "token_invalid"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
async def test_it_is_refused_with_401_and_counted_when_somebody_brings(attack: str, shop: Shop) -> None:
    path, options, reason = ATTACKS[attack]
    before = shop.denied(reason)
    assert await shop.status(path, **options) == 401
    assert shop.denied(reason) == before + 1


async def test_a_refresh_token_opens_nothing(shop: Shop) -> None:
    assert await shop.status("/simplejwt/", **bearing(shop.users["ann"]["refresh"])) == 401


async def test_a_token_offered_as_a_subprotocol_is_never_echoed(shop: Shop) -> None:
    secret = shop.users["ann"]["simplejwt"]
    async with shop.knock("/simplejwt/", subprotocols=["bearer", secret]) as socket:
        assert socket.subprotocol == "bearer"
        said = await greeting(socket)
        assert (said["user"], said["offered"]) == ("ann", [])
        assert secret not in str(socket.response)


async def test_a_token_does_not_reach_the_log_whatever_happens(shop: Shop) -> None:
    secret = shop.users["bob"]["simplejwt"]
    ways: list[tuple[str, dict[str, Any]]] = [
        (f"/query/?token={secret}", {}),
        ("/simplejwt/", bearing(secret)),
        ("/simplejwt/", {"subprotocols": ["bearer", secret]}),
        ("/cookie/", {"additional_headers": {"Cookie": f"jwt-auth={secret}"}}),
    ]
    for path, options in ways:
        async with shop.knock(path, **options) as socket:
            assert (await greeting(socket))["query"] == ""
            await socket.send('"crash"')
            with pytest.raises(websockets.ConnectionClosed):
                await socket.recv()
    await shop.status(f"/query/?token={secret}x")
    # A place that is wrong does not leave the token in another.
    await shop.status(f"/either/?token={secret}", additional_headers={"Authorization": "Bearer"})
    assert "the consumer failed" in shop.server.output
    assert secret[-30:] not in shop.server.output
    assert secret[-30:] not in shop.server.admin("metrics")[1]


async def test_the_first_message_may_be_the_token(shop: Shop) -> None:
    async with shop.knock("/first/") as socket:
        await socket.send(json.dumps({"token": shop.users["ann"]["simplejwt"]}))
        assert (await greeting(socket))["user"] == "ann"


@pytest.mark.parametrize("message", ["rubbish", '{"token": 5}', b"\x00", '{"a":' * 3000, None])
async def test_a_first_message_that_is_no_token_closes_with_4401(message: str | bytes | None, shop: Shop) -> None:
    async with shop.knock("/first/") as socket:
        if message is not None:  # None: they say nothing, and are closed after a second
            await socket.send(message)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401
