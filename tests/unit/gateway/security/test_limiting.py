"""The middleware with a channel layer that shares nothing: what each policy does to a client and to its messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.conditions import until

from realtime_gateway.auth.connections import Connection
from realtime_gateway.auth.identity import Identity
from realtime_gateway.endings import UNAUTHENTICATED
from realtime_gateway.resource.limits import (
    AddressLimits,
    ByteRate,
    ConnectionLimits,
    Limits,
    MessageRate,
    Policy,
    UserLimits,
)
from realtime_gateway.security import limiting
from realtime_gateway.security.denial import Application, Message, Receive, Scope, Send
from realtime_gateway.security.limiting import CONNECTION, AddressLimiting, UserLimiting, limiter, user_key
from realtime_gateway.telemetry import recorder

SLOW = 1  # a second, of which no test waits for many
ANN = SimpleNamespace(is_authenticated=True, pk=7)
NOBODY = SimpleNamespace(is_authenticated=False, pk=None)


class Client:
    """One WebSocket of an application that notes what it is told and takes every message."""

    def __init__(self) -> None:
        self.scope: Scope = {"type": "websocket", "path": "/", "extensions": {"websocket.http.response": {}}}
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.heard: list[Any] = []
        self.got: list[Any] = []
        self.opened = asyncio.Event()

    async def take_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.connect":
                self.opened.set()
            else:
                self.got.append(message.get("text") or message.get("bytes"))
                await send({"type": "websocket.send", "text": "got it"})

    async def hear(self, message: Message) -> None:
        self.heard.append(message)
        if message["type"] == "websocket.close":
            self.inbox.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def say(self, *texts: str | bytes) -> None:
        for text in texts:
            kind = "text" if isinstance(text, str) else "bytes"
            self.inbox.put_nowait({"type": "websocket.receive", kind: text})

    def leave(self) -> None:
        self.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000})

    @property
    def closed_with(self) -> list[tuple[int, str]]:
        return [(one["code"], one["reason"]) for one in self.heard if one["type"] == "websocket.close"]

    @property
    def status(self) -> int | None:
        found = [one["status"] for one in self.heard if one["type"] == "websocket.http.response.start"]
        return found[0] if found else None


@asynccontextmanager
async def connected(application: Application, client: Client) -> AsyncIterator[Client]:
    """A client that is inside, or was refused."""
    task = asyncio.create_task(application(client.scope, client.inbox.get, client.hear))  # type: ignore[arg-type]
    opened = asyncio.create_task(client.opened.wait())
    await asyncio.wait((task, opened), return_when=asyncio.FIRST_COMPLETED)
    opened.cancel()
    try:
        yield client
    finally:
        client.leave()
        async with asyncio.timeout(10):
            await task


def limited(client: Client, limits: Limits, user: Any = NOBODY) -> Application:
    client.scope["user"] = user
    return UserLimiting(client.take_all, limits)


def per_connection(policy: Policy, per_second: int = SLOW, burst: int = 3) -> Limits:
    return Limits(per_connection=ConnectionLimits(messages=MessageRate(per_second, burst, policy)))


def met(limit: str) -> float:
    return recorder.limits_met.values.get(limit, 0)


async def all_taken(client: Client, limits: Limits, *texts: str | bytes, user: Any = NOBODY) -> list[Any]:
    async with connected(limited(client, limits, user), client):
        client.say(*texts)
    return client.got


async def test_above_its_rate_a_connection_is_closed_with_1008_and_its_reason() -> None:
    client, before = Client(), met("security.limits.perConnection.messages")
    assert await all_taken(client, per_connection("close"), *"abcdef") == ["a", "b", "c"]
    assert client.closed_with == [(1008, "too many messages")]
    assert met("security.limits.perConnection.messages") == before + 1


async def test_after_the_close_the_application_says_nothing_more() -> None:
    client = Client()

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await client.take_all(scope, receive, send)
        await send({"type": "websocket.send", "text": "too late"})

    client.scope["user"] = NOBODY
    async with connected(UserLimiting(late, per_connection("close")), client):
        client.say(*"abcd")
    assert [one.get("text") for one in client.heard] == ["got it"] * 3 + [None]


async def test_what_is_dropped_is_counted_one_by_one_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    client, before = Client(), met("security.limits.perConnection.messages")
    with caplog.at_level(logging.WARNING, "realtime_gateway.security"):
        assert await all_taken(client, per_connection("drop"), *"abcdef") == ["a", "b", "c"]
    assert client.closed_with == []
    assert met("security.limits.perConnection.messages") == before + 3
    assert [line for line in caplog.messages if line.startswith("Limit security.limits.perConnection")] == [
        "Limit security.limits.perConnection.messages met by a client: a message is dropped"
    ]


async def test_what_waits_comes_whole_and_in_order_at_the_rate() -> None:
    client, before = Client(), met("security.limits.perConnection.messages")
    assert await all_taken(client, per_connection("delay", per_second=20, burst=1), *"abcde") == list("abcde")
    assert met("security.limits.perConnection.messages") == before + 4


async def test_a_receiver_that_is_cancelled_while_a_message_waits_loses_nothing() -> None:
    client = Client()

    async def impatient(scope: Scope, receive: Receive, send: Send) -> None:
        while True:
            try:
                async with asyncio.timeout(0.02):
                    message = await receive()
            except TimeoutError:
                continue
            if message["type"] == "websocket.disconnect":
                return
            client.opened.set()
            client.got.append(message.get("text"))

    client.scope["user"] = NOBODY
    async with connected(UserLimiting(impatient, per_connection("delay", per_second=10, burst=1)), client):
        client.say(*"abc")
    assert client.got == [None, "a", "b", "c"]


async def test_what_waits_when_its_user_is_revoked_does_not_reach_the_application() -> None:
    client = Client()
    connection = Connection(Identity(ANN), client.inbox.get, client.hear)  # type: ignore[arg-type]
    client.scope[CONNECTION] = connection
    application = limited(client, per_connection("delay", per_second=SLOW, burst=1))

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, connection.receive, connection.send)

    async with connected(watched, client):
        client.say(*"abc")
        await until(lambda: client.got == ["a"] and client.inbox.qsize() == 1)
        connection.end(UNAUTHENTICATED, "session ended", "revoked")
        await until(lambda: client.closed_with)
    assert client.closed_with == [(4401, "session ended")]
    assert client.got == ["a"]


async def test_bytes_are_those_of_the_message_on_the_wire() -> None:
    limits = Limits(per_connection=ConnectionLimits(volume=ByteRate(SLOW, 10, "drop")))
    assert await all_taken(Client(), limits, "abcde", b"12345", "x") == ["abcde", b"12345"]
    assert await all_taken(Client(), limits, "äöü", "äöü", "ab") == ["äöü", "ab"]


async def test_the_message_after_one_that_is_dropped_is_held_against_every_rate() -> None:
    of_messages, of_bytes = MessageRate(SLOW, 3, "drop"), ByteRate(SLOW, 4, "drop")
    limits = Limits(per_connection=ConnectionLimits(messages=of_messages, volume=of_bytes))
    assert len(await all_taken(Client(), limits, "aaaa", "bbbb", "", "", "")) == 2


async def test_nothing_is_kept_for_long_of_a_user_whose_connections_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("realtime_gateway.security.limiter.KEEP_SECONDS", 0.0)
    limits = Limits(
        per_user=UserLimits(messages=MessageRate(SLOW, 5, "drop"), volume=ByteRate(1000), open_connections=9)
    )
    one, other = Client(), Client()
    async with connected(limited(one, limits, ANN), one):
        async with connected(limited(other, limits, ANN), other):
            pass
        assert limiter()._tokens
    assert not limiter()._tokens
    assert not limiter()._places._held


async def test_who_connects_again_and_again_has_the_rate_of_who_stays() -> None:
    limits = Limits(per_user=UserLimits(messages=MessageRate(SLOW, 60, "close")))
    for number in range(40):
        assert await all_taken(Client(), limits, str(number), user=ANN) == [str(number)]


async def test_tokens_of_many_users_who_left_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime_gateway.security.limiter._MOST_KEPT", 10)
    limits = Limits(per_user=UserLimits(messages=MessageRate(SLOW, 60)))
    for number in range(40):
        await all_taken(Client(), limits, user=SimpleNamespace(is_authenticated=True, pk=number))
    assert len(limiter()._tokens) == len(limiter()._unused_since) == 10


async def test_routes_with_other_rates_have_buckets_of_their_own() -> None:
    one, other = (Limits(per_user=UserLimits(messages=MessageRate(SLOW, burst, "drop"))) for burst in (3, 5))
    stays = Client()
    async with connected(limited(stays, one, ANN), stays):
        assert len(await all_taken(Client(), other, *"abcdefgh", user=ANN)) == 5
        assert len(await all_taken(Client(), one, *"abcdefgh", user=ANN)) == 3


def test_limiters_of_loops_that_are_closed_are_forgotten() -> None:
    async def here() -> None:
        limiter()

    for _ in range(5):
        asyncio.run(here())
    assert sum(loop.is_closed() for loop in limiting._LIMITERS) <= 1


async def test_a_refusal_says_when_the_next_connection_may_come() -> None:
    limits, client = Limits(per_address=AddressLimits(connections_per_minute=2)), Client()
    client.scope["client"] = ["192.0.2.7", 1]
    for _ in range(4):
        async with connected(AddressLimiting(client.take_all, limits), client):
            pass
    refused = [dict(one["headers"]) for one in client.heard if one["type"] == "websocket.http.response.start"]
    assert len(refused) == 2
    assert all(20 < int(headers[b"retry-after"]) <= 30 for headers in refused)


async def test_a_users_connections_share_the_users_rate() -> None:
    limits = Limits(per_user=UserLimits(messages=MessageRate(SLOW, 5, "drop")))
    one, other = Client(), Client()
    async with connected(limited(one, limits, ANN), one), connected(limited(other, limits, ANN), other):
        one.say(*"abc")
        other.say(*"defg")
    assert len(one.got + other.got) == 5
    assert len(await all_taken(Client(), limits, *"abcdefg", user=SimpleNamespace(is_authenticated=True, pk=8))) == 5


async def test_a_rate_of_users_is_not_held_against_nobody() -> None:
    limits = Limits(per_user=UserLimits(messages=MessageRate(SLOW, 1, "close"), open_connections=1))
    assert len(await all_taken(Client(), limits, *"abcdefg")) == 7


async def test_a_user_may_have_so_many_connections_and_another_when_one_has_ended() -> None:
    limits = Limits(per_user=UserLimits(open_connections=2))
    clients = [Client() for _ in range(4)]
    first, second, third, fourth = (connected(limited(client, limits, ANN), client) for client in clients)
    async with first:
        async with second, third:
            pass
        async with fourth:
            pass
    assert [client.status for client in clients] == [None, None, 429, None]


async def test_a_refusal_by_number_is_counted_and_leaves_the_application_alone() -> None:
    limits = Limits(per_address=AddressLimits(open_connections=1))
    one, other, elsewhere = Client(), Client(), Client()
    for client, address in ((one, "2001:db8::1"), (other, "2001:db8::2"), (elsewhere, "2001:db8:0:1::1")):
        client.scope["client"] = [address, 1]
    before = recorder.denials.values.get("address_connections", 0)
    async with (
        connected(AddressLimiting(one.take_all, limits), one),
        connected(AddressLimiting(other.take_all, limits), other),
        connected(AddressLimiting(elsewhere.take_all, limits), elsewhere),
    ):
        assert [client.opened.is_set() for client in (one, other, elsewhere)] == [True, False, True]
    assert other.status == 429
    assert recorder.denials.values["address_connections"] == before + 1


async def test_new_connections_of_an_address_come_at_their_rate() -> None:
    limits = Limits(per_address=AddressLimits(connections_per_minute=3))
    clients = [Client() for _ in range(6)]
    for client in clients:
        client.scope["client"] = ["192.0.2.1", 1]
        async with connected(AddressLimiting(client.take_all, limits), client):
            pass
    assert [client.status for client in clients] == [None] * 3 + [429] * 3


async def test_where_the_handshake_is_answered_already_a_refusal_is_1008() -> None:
    limits = Limits(per_user=UserLimits(connections_per_minute=1))
    one, other = Client(), Client()
    other.scope["extensions"] = {}
    for client in (one, other):
        async with connected(limited(client, limits, SimpleNamespace(is_authenticated=True, pk=99)), client):
            pass
    assert one.opened.is_set()
    assert other.closed_with == [(1008, "too many new connections")]


async def test_requests_and_clients_without_an_address_are_let_through() -> None:
    limits = Limits(per_address=AddressLimits(connections_per_minute=1), per_user=UserLimits(open_connections=1))
    seen = []

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    client = Client()
    for scope in ({"type": "http"}, {"type": "websocket", "client": None}, {"type": "websocket"}) * 2:
        await AddressLimiting(application, limits)(scope, client.inbox.get, client.hear)  # type: ignore[arg-type]
    await UserLimiting(application, limits)({"type": "http"}, client.inbox.get, client.hear)  # type: ignore[arg-type]
    assert seen == ["http", "websocket", "websocket"] * 2 + ["http"]


def test_a_user_is_told_by_the_key_of_its_row_else_by_its_name() -> None:
    assert user_key(ANN) == "7"
    assert user_key(SimpleNamespace(is_authenticated=True, get_username=lambda: "ann")) == "ann"
    assert [user_key(one) for one in (NOBODY, None, SimpleNamespace(is_authenticated=True))] == [None] * 3


def test_limits_that_are_set_stand_on_the_metrics_page_before_anybody_meets_them() -> None:
    recorder.limits_met.values.clear()
    limits = Limits(per_user=UserLimits(messages=MessageRate(1), open_connections=3), per_address=AddressLimits(0, 9))
    UserLimiting(Client().take_all, limits)
    AddressLimiting(Client().take_all, limits)
    assert recorder.limits_met.values == {
        "security.limits.perUser.messages": 0,
        "security.limits.perUser.openConnections": 0,
        "security.limits.perAddress.connectionsPerMinute": 0,
    }
