"""Who is closed by a notice, and that nothing is kept of a connection that is over."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from realtime_gateway.auth.connections import Connection, Registry
from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.notices import Action, Notice
from realtime_gateway.endings import FORBIDDEN
from realtime_gateway.security.denial import Message


class Client:
    """One WebSocket, and what was sent through it."""

    def __init__(self, identity: Identity) -> None:
        self.sent: list[Message] = []
        self.said: asyncio.Queue[Message] = asyncio.Queue()
        self.connection = Connection(identity, self.said.get, self._send)

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    async def ending(self) -> Any:
        async with asyncio.timeout(10):
            while not self.sent:
                await asyncio.sleep(0)
        return self.sent[0]["type"], self.sent[0]["code"], self.sent[0]["reason"]


def user(pk: Any = 1) -> Any:
    return SimpleNamespace(pk=pk)


def now() -> float:
    return asyncio.get_running_loop().time()


@pytest.fixture
async def registry() -> Registry:
    return Registry()


async def test_a_notice_closes_all_of_a_user_and_nobody_else(registry: Registry) -> None:
    one, two, other = Client(Identity(user(1))), Client(Identity(user(1), credential="c")), Client(Identity(user(2)))
    for client in (one, two, other):
        registry.add(client.connection, now())
    registry.apply(Notice(Action.END, ("1",), ending=FORBIDDEN, reason="permissions changed"))
    assert await one.ending() == await two.ending() == ("websocket.close", 4403, "permissions changed")
    assert other.sent == []


async def test_what_is_said_after_the_end_reaches_nobody(registry: Registry) -> None:
    client = Client(Identity(user(1)))
    registry.add(client.connection, now())
    registry.apply(Notice(Action.END, ("1",)))
    await client.ending()
    await client.connection.send({"type": "websocket.send", "text": "too late"})
    client.said.put_nowait({"type": "websocket.receive", "text": "too late"})
    client.said.put_nowait({"type": "websocket.disconnect", "code": 4401})
    assert (await client.connection.receive())["type"] == "websocket.disconnect"
    assert len(client.sent) == 1


async def test_what_was_said_since_authentication_began_holds_and_what_was_said_before_does_not(
    registry: Registry,
) -> None:
    early, late = Client(Identity(user(1))), Client(Identity(user(1)))
    began_at = now()
    registry.apply(Notice(Action.END, ("1",)))
    registry.add(early.connection, began_at)
    registry.add(late.connection, now() + 1)
    assert await early.ending() == ("websocket.close", 4401, "logged out")
    assert late.sent == []


async def test_a_credential_that_has_ended_is_of_no_use_afterwards(registry: Registry) -> None:
    again = Client(Identity(user(1), credential="session"))
    registry.apply(Notice(Action.END, credential="session"))
    registry.add(again.connection, now() + 1)
    assert await again.ending() == ("websocket.close", 4401, "logged out")


async def test_a_notice_that_was_held_up_leaves_those_who_have_come_since(registry: Registry) -> None:
    client = Client(Identity(user(1)))
    registry.add(client.connection, now())
    registry.apply(Notice(Action.END, ("1",)), age_seconds=10)
    await asyncio.sleep(0)
    assert client.sent == []


async def test_nothing_is_left_of_a_user_who_was_deleted_meanwhile(registry: Registry) -> None:
    somebody = user(1)
    client = Client(Identity(somebody, credential="c"))
    registry.add(client.connection, now())
    registry.check([client.connection])
    somebody.pk = None
    registry.remove(client.connection)
    assert (list(registry.connections), registry._by_key, registry.take_checks()) == ([], {}, [])


@pytest.mark.parametrize("somebody", [user(None), SimpleNamespace(), "ann"])
async def test_a_token_ends_the_connection_of_a_user_without_a_key_too(registry: Registry, somebody: Any) -> None:
    client = Client(Identity(somebody, expires_at=time.time() - 1))
    registry.add(client.connection, now())
    assert await client.ending() == ("websocket.close", 4401, "token expired")
    registry.remove(client.connection)


async def test_a_connection_that_is_over_has_no_timer(registry: Registry) -> None:
    client = Client(Identity(user(None), expires_at=time.time() + 3600))
    registry.add(client.connection, now())
    timer = client.connection._timer
    assert timer is not None
    registry.remove(client.connection)
    assert timer.cancelled()


async def test_rights_are_asked_anew_after_a_change_and_when_notices_may_be_missing(registry: Registry) -> None:
    some, others = (SimpleNamespace(pk=pk, _perm_cache={"x"}, _user_perm_cache=set()) for pk in (1, 2))
    odd = Client(Identity("ann", credential="c"))
    for client in (Client(Identity(some)), Client(Identity(others)), odd):
        registry.add(client.connection, now())
    registry.apply(Notice(Action.REFRESH, ("1",)))
    assert not hasattr(some, "_perm_cache")
    assert hasattr(others, "_perm_cache")
    registry.check_everybody()
    assert not hasattr(others, "_perm_cache")
    assert len(registry.take_checks()) == 3
