"""What a page of another site tries, and a client that writes its handshake and its frames by hand."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest
import websockets

from tests.attacks.conftest import Shop, greeting

ORIGINS = {
    "another site": "https://evil.test",
    "a name that ends like ours": "http://evilshop.test",
    "a name that begins like ours": "http://shop.test.evil.test",
    "our name as a user's": "http://shop.test@evil.test",
    "a subdomain that nobody allowed": "http://blog.shop.test",
    "a sandboxed frame": "null",
    "a file": "file://",
    "no name": "http://",
    "a bracket too few": "http://[",
    "a port that is none": "http://shop.test:99999",
    "a very long name": "http://" + "a" * 4000 + ".test",
    "not a letter": "http://sh\u00f6p.test",
}


@pytest.mark.parametrize("whose", ORIGINS)
async def test_a_page_is_refused_with_403_and_counted_that_is_of(whose: str, shop: Shop) -> None:
    before = shop.denied("origin")
    head = ORIGINS[whose].encode("latin1")
    assert await by_hand(shop, b"Origin: " + head) == 403
    assert shop.denied("origin") == before + 1


async def test_a_page_of_a_sibling_that_is_allowed_may_connect(shop: Shop) -> None:
    assert await shop.user("/session/", origin="https://a.sibling.test") == ""


async def by_hand(shop: Shop, *lines: bytes, path: bytes = b"/session/") -> int:
    """Send a handshake byte by byte as given, and return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.server.port)
    head = [
        b"GET " + path + b" HTTP/1.1",
        b"Host: shop.test",
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *lines,
    ]
    writer.write(b"\r\n".join([*head, b"", b""]))
    async with asyncio.timeout(30):
        status = await reader.readline()
    writer.close()
    return int(status.split()[1])


OURS = b"Origin: http://shop.test"


async def test_a_handshake_by_hand_is_answered(shop: Shop) -> None:
    assert await by_hand(shop, OURS) == 101


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ((), 403),  # no Origin
        ((OURS, b"Origin: http://evil.test"), 403),
        ((b"Origin: http://evil.test", OURS), 403),
        ((OURS, OURS), 403),
        ((OURS, b"Authorization: Bearer a", b"Authorization: Bearer b"), 401),
        ((OURS, b"Authorization: Bearer"), 401),
        ((OURS, b"Authorization: Bearer a b"), 401),
        ((OURS, b"Authorization: Bearer \xff\xfe"), 401),
        ((OURS, b"Sec-WebSocket-Protocol: bearer"), 401),
        ((OURS, b"Sec-WebSocket-Protocol: bearer, a, bearer, b"), 400),
        ((OURS, b"Authorization : Bearer a"), 400),
    ],
)
async def test_a_handshake_that_says_a_thing_twice_or_half_is_refused(
    lines: tuple[bytes, ...], status: int, shop: Shop
) -> None:
    assert await by_hand(shop, *lines, path=b"/jwt/") == status


async def test_a_header_with_an_underscore_is_no_other_header(shop: Shop) -> None:
    assert await by_hand(shop, b"Origin_: http://shop.test") == 403


async def test_an_address_that_a_client_claims_is_not_believed(shop: Shop) -> None:
    await by_hand(shop, b"Origin: http://claims.test", b"X-Forwarded-For: 10.9.8.7", b"Forwarded: for=10.9.8.7")
    assert "http://claims.test" in shop.server.output
    assert "10.9.8.7" not in shop.server.output


async def test_a_line_break_in_an_origin_does_not_reach_the_log(shop: Shop) -> None:
    await by_hand(shop, b"Origin: http://a.test\x0bFAKE LINE")
    await by_hand(shop, b"Origin: http://b.test%0d%0aFAKE LINE")
    assert not [line for line in shop.server.output.splitlines() if line.startswith("FAKE LINE")]


async def test_an_origin_that_tries_again_and_again_has_one_line_and_is_counted_each_time(shop: Shop) -> None:
    before = shop.denied("origin")
    for _ in range(5):
        assert await by_hand(shop, b"Origin: http://again.test") == 403
    assert shop.denied("origin") == before + 5
    assert shop.server.output.count("'http://again.test'") == 1


@pytest.mark.parametrize(
    "cookie",
    [
        "sessionid=",
        "sessionid=guess",
        "sessionid=../../etc/passwd",
        "sessionid=%00",
        "sessionid=" + "a" * 4000,
        "=;=;;",
    ],
)
async def test_a_session_that_is_guessed_is_nobodys(cookie: str, shop: Shop) -> None:
    assert await shop.user("/session/", additional_headers={"Cookie": cookie}) == ""


async def test_a_session_key_that_the_attacker_chose_is_not_the_one_after_a_login(shop: Shop) -> None:
    chosen = shop.python(
        "from django.contrib.sessions.backends.db import SessionStore\n"
        "store = SessionStore(); store['cart'] = 1; store.save(); print(store.session_key)"
    ).strip()
    cookie = {"additional_headers": {"Cookie": f"sessionid={chosen}"}}
    async with shop.knock("/desk/", **cookie) as socket:
        await socket.send("in")
        assert await socket.recv() == "ann"
    assert await shop.user("/session/", **cookie) == ""


@pytest.mark.parametrize("kind", ["websocket.disconnect", "websocket.connect", "realtime_gateway.revocation", "_x"])
async def test_a_message_type_that_a_client_chooses_calls_no_handler(kind: str, shop: Shop) -> None:
    async with shop.knock("/session/") as socket:
        await greeting(socket)
        said = {"type": kind, "action": "end", "users": ["1"], "credential": "", "code": 4401, "reason": "x"}
        await socket.send(json.dumps(said))
        assert json.loads(await socket.recv()) == said


async def test_text_that_is_no_text_closes_with_1007(shop: Shop) -> None:
    async with shop.knock("/session/") as socket:
        await greeting(socket)
        await socket.send(b"\xff\xfe", text=True)
        await socket.wait_closed()
        assert socket.close_code == 1007


async def test_a_message_above_the_bound_closes_with_1009(shop: Shop) -> None:
    async with shop.knock("/session/") as socket:
        await greeting(socket)
        with suppress(websockets.ConnectionClosed):
            await socket.send('"' + "a" * 3_000_000 + '"')
        await socket.wait_closed()
        assert socket.close_code == 1009


async def test_brackets_in_brackets_end_only_their_own_socket(shop: Shop) -> None:
    async with shop.knock("/session/") as neighbour, shop.knock("/session/") as socket:
        await greeting(neighbour)
        await greeting(socket)
        await socket.send("[" * 200_000)
        await socket.wait_closed()
        assert socket.close_code == 1011
        await neighbour.send('"still here"')
        assert await neighbour.recv() == '"still here"'
