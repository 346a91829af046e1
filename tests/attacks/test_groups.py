"""What somebody tries who is logged in, and wants to hear or say what is not for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.attacks.conftest import Shop

REFUSED = {"error": "not allowed"}


def as_user(shop: Shop, name: str) -> connect:
    return shop.knock("/counter/", additional_headers={"Authorization": f"Token {shop.users[name]['drf']}"})


async def ask(socket: ClientConnection, **content: Any) -> Any:
    await socket.send(json.dumps(content))
    return json.loads(await socket.recv())


async def test_who_comes_honestly_joins_what_is_theirs(shop: Shop) -> None:
    async with as_user(shop, "ann") as socket:
        assert await ask(socket, do="join", group="lobby") == "done"
        assert await ask(socket, do="join", group=f"user-{shop.users['ann']['pk']}") == "done"


BUILT = {
    "that is another user's": "user-{bob}",
    "that begins as their own": "user-{eve}0",
    "that ends as their own": "x.user-{eve}",
    "for which they lack the permission": "staff",
    "of another case": "LOBBY",
    "of the project's own": "realtime_gateway.revocations",
    "that is a pattern": "user-*",
    "that is a path to another": "lobby/../user-{bob}",
    "that looks like a key of Redis": "asgi:g:staff",
    "with a line break": "lobby\r\nstaff",
    "that is nothing": "",
}


@pytest.mark.parametrize("which", BUILT)
async def test_nobody_joins_a_group(which: str, shop: Shop) -> None:
    group = BUILT[which].format(**{name: user["pk"] for name, user in shop.users.items()})
    before = shop.denied("group")
    async with as_user(shop, "eve") as socket:
        assert await ask(socket, do="join", group=group) == REFUSED
        assert await ask(socket, do="join", group="lobby") == "done"
    assert shop.denied("group") == before + 1


async def test_nobody_says_what_needs_a_permission(shop: Shop) -> None:
    before = shop.denied("permission")
    async with as_user(shop, "ann") as ann, as_user(shop, "eve") as eve:
        assert await ask(ann, do="join", group="lobby") == "done"
        assert await ask(eve, do="tell", group="lobby", text="buy at eve's") == REFUSED
        assert await ask(ann, do="join", group="lobby") == "done"  # and not what eve said
    assert shop.denied("permission") == before + 1
