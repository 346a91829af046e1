"""A client that asks for what it may not is answered, and its WebSocket goes on; unless it was to be closed."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import channels.consumer
import pytest
from channels.layers import InMemoryChannelLayer
from channels.testing import WebsocketCommunicator

from realtime_gateway.consumers import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    NotAllowed,
    WebsocketConsumer,
    fanout,
    requires,
)
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.telemetry import recorder

Event = dict[str, Any]


def user(*permissions: str) -> Any:
    """A user with permissions, and with those of the form name:object."""

    def has_perm(name: str, about: object = None) -> bool:
        return (name if about is None else f"{name}:{about}") in permissions

    return SimpleNamespace(pk=7, is_authenticated=True, has_perm=has_perm)


async def may_enter(user: Any, group: str) -> bool:
    return group == f"user-{user.pk}"


def may_enter_slowly(user: Any, group: str) -> bool:
    return group == f"slow-{user.pk}"


def room_of(consumer: Any, content: Any) -> Any:
    return content["room"]


async def room_of_later(consumer: Any, content: Any) -> Any:
    return content["room"]


POLICIES: Any = {"tea": True, "staff": "chat.moderate", "user-*": may_enter, "slow-*": may_enter_slowly}


class Room(AsyncJsonWebsocketConsumer):
    group_policies = POLICIES

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await getattr(self, content["do"])(content)

    @requires("chat.say")
    async def say(self, content: Any) -> None:
        await self.send_json("said")

    @requires("chat.say", of=room_of)
    async def say_in(self, content: Any) -> None:
        await self.send_json("said")

    @requires("chat.say", of=room_of_later)
    async def say_later(self, content: Any) -> None:
        await self.send_json("said")

    @requires("chat.say", close=True)
    async def shout(self, content: Any) -> None: ...

    async def join(self, content: Any) -> None:
        await self.channel_layer.group_add(content["group"], self.channel_name)
        await self.send_json("joined")

    async def news(self, event: Event) -> None:
        await self.send_json(event["text"])

    @requires("chat.say")
    async def gossip(self, event: Event) -> None:
        await self.send_json(event["text"])


class SlowRoom(JsonWebsocketConsumer):
    group_policies = POLICIES

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        getattr(self, content["do"])(content)

    @requires("chat.say")
    def say(self, content: Any) -> None:
        self.send_json("said")

    @requires("chat.say", of=room_of)
    def say_in(self, content: Any) -> None:
        self.send_json("said")

    say_later = say_in

    @requires("chat.say", close=True)
    def shout(self, content: Any) -> None: ...

    def join(self, content: Any) -> None:
        from asgiref.sync import async_to_sync

        async_to_sync(self.channel_layer.group_add)(content["group"], self.channel_name)
        self.send_json("joined")

    def news(self, event: Event) -> None:
        self.send_json(event["text"])

    @requires("chat.say")
    def gossip(self, event: Event) -> None:
        self.send_json(event["text"])


@pytest.fixture
async def layer(monkeypatch: pytest.MonkeyPatch) -> InMemoryChannelLayer:
    made = InMemoryChannelLayer()
    monkeypatch.setattr(channels.consumer, "get_channel_layer", lambda alias: made)
    return made


class Client:
    def __init__(self, consumer: Any, who: Any) -> None:
        self.socket = WebsocketCommunicator(consumer.as_asgi(), "/ws/")
        self.socket.scope["user"] = who

    async def __aenter__(self) -> Client:
        assert (await self.socket.connect())[0]
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.socket.disconnect()

    async def ask(self, **content: Any) -> Any:
        await self.socket.send_json_to(content)
        return await self.socket.receive_json_from()


def denials(reason: str) -> float:
    return recorder.denials.values.get(reason, 0)


REFUSED = {"error": "not allowed"}
both = pytest.mark.parametrize("room", [Room, SlowRoom])


@both
async def test_an_action_is_refused_without_the_permission_and_the_socket_goes_on(
    room: Any, layer: InMemoryChannelLayer
) -> None:
    before = denials("permission")
    async with Client(room, user()) as client:
        assert await client.ask(do="say") == REFUSED
        assert await client.ask(do="join", group="tea") == "joined"
    assert denials("permission") == before + 1
    async with Client(room, user("chat.say")) as client:
        assert await client.ask(do="say") == "said"


@both
@pytest.mark.parametrize("action", ["say_in", "say_later"])
async def test_a_permission_may_be_of_an_object(room: Any, action: str, layer: InMemoryChannelLayer) -> None:
    async with Client(room, user("chat.say:1")) as client:
        assert await client.ask(do=action, room=1) == "said"
        assert await client.ask(do=action, room=2) == REFUSED


@both
async def test_a_socket_is_closed_where_that_is_asked_for(room: Any, layer: InMemoryChannelLayer) -> None:
    async with Client(room, user()) as client:
        await client.socket.send_json_to({"do": "shout"})
        closed = await client.socket.receive_output()
    assert (closed["type"], closed["code"], closed["reason"]) == ("websocket.close", 4403, "not allowed")


@both
async def test_a_client_joins_only_the_groups_that_are_for_it(room: Any, layer: InMemoryChannelLayer) -> None:
    before = denials("group")
    async with Client(room, user()) as client:
        for group in ("tea", "user-7", "slow-7"):
            assert await client.ask(do="join", group=group) == "joined"
        for group in ("staff", "user-8", "slow-8", "elsewhere", "tea-2"):
            assert await client.ask(do="join", group=group) == REFUSED
        assert set(layer.groups) == {"tea", "user-7", "slow-7"}
    assert denials("group") == before + 5
    async with Client(room, user("chat.moderate")) as client:
        assert await client.ask(do="join", group="staff") == "joined"


@both
async def test_what_others_send_is_kept_from_who_may_not_have_it_without_a_word(
    room: Any, layer: InMemoryChannelLayer
) -> None:
    async with Client(room, user()) as client:
        await client.ask(do="join", group="tea")
        await layer.group_send("tea", {"type": "gossip", "text": "have you heard"})
        await layer.group_send("tea", {"type": "news", "text": "news"})
        assert await client.socket.receive_json_from() == "news"


async def has_pk_7(user: Any, group: str) -> bool:
    return bool(user.pk == 7)


class Rule:
    async def __call__(self, user: Any, group: str) -> bool:
        return await has_pk_7(user, group)


HIDDEN = {
    "a lambda": lambda user, group: has_pk_7(user, "tea"),
    "a partial": functools.partial(has_pk_7),
    "an object": Rule(),
}


@pytest.mark.parametrize("rule", HIDDEN)
async def test_a_rule_that_hides_that_it_is_async_is_awaited(rule: str, layer: InMemoryChannelLayer) -> None:
    class Hidden(Room):
        group_policies: Any = {"tea": HIDDEN[rule]}

    other = user()
    other.pk = 8
    async with Client(Hidden, user()) as client:
        assert await client.ask(do="join", group="tea") == "joined"
    async with Client(Hidden, other) as client:
        assert await client.ask(do="join", group="tea") == REFUSED


async def test_an_object_is_awaited_that_is_found_behind_a_function_that_is_not_async(
    layer: InMemoryChannelLayer,
) -> None:
    class Here(Room):
        @requires("chat.say", of=lambda consumer, content: room_of_later(None, content))
        async def say_in(self, content: Any) -> None:
            await self.send_json("said")

    class There(SlowRoom):
        @requires("chat.say", of=room_of_later)
        def say_in(self, content: Any) -> None:
            self.send_json("said")

    for consumer in (Here, There):
        async with Client(consumer, user("chat.say:1")) as client:
            assert await client.ask(do="say_in", room=1) == "said"
            assert await client.ask(do="say_in", room=2) == REFUSED


async def test_other_channels_join_as_the_consumer_likes(layer: InMemoryChannelLayer) -> None:
    class Porter(AsyncJsonWebsocketConsumer):
        group_policies: Any = {}

        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            await self.channel_layer.group_add("tea", "worker")
            await self.send_json("joined")

    async with Client(Porter, user()) as client:
        assert await client.ask() == "joined"
    assert "worker" in layer.groups["tea"]


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, AsyncJsonWebsocketConsumer])
async def test_groups_of_the_class_are_no_exception(base: Any, layer: InMemoryChannelLayer) -> None:
    class Listening(base):  # type: ignore[misc]  # the base is a parameter
        groups = ["tea", "staff"]
        group_policies = POLICIES

    client = Client(Listening, user()).socket
    assert await client.connect() == (False, 4403)
    await client.wait()


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_who_may_not_connect_is_refused_in_the_handshake(kind: str, layer: InMemoryChannelLayer) -> None:
    class Here(AsyncWebsocketConsumer):
        @requires()
        async def connect(self) -> None:
            await self.accept()

    class There(WebsocketConsumer):
        @requires()
        def connect(self) -> None:
            self.accept()

    consumer = {"loop": Here, "thread": There}[kind]
    client = Client(consumer, None).socket
    assert await client.connect() == (False, 4403)
    await client.wait()
    async with Client(consumer, user()):
        pass


@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_a_handler_may_refuse_by_itself_and_the_answer_be_ones_own(
    kind: str, layer: InMemoryChannelLayer
) -> None:
    class Here(AsyncWebsocketConsumer):
        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise NotAllowed("too late")

        async def not_allowed(self, refused: NotAllowed) -> None:
            await self.send(text_data=f"no: {refused.message}")

    class There(WebsocketConsumer):
        def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            raise NotAllowed("too late")

        def not_allowed(self, refused: NotAllowed) -> None:
            self.send(text_data=f"no: {refused.message}")

    async with Client({"loop": Here, "thread": There}[kind], user()) as client:
        await client.socket.send_to(text_data="x")
        assert await client.socket.receive_from() == "no: too late"


def test_what_cannot_be_meant_stops_when_the_class_is_made() -> None:
    with pytest.raises(ConfigurationError):

        class Wrong(AsyncWebsocketConsumer):
            group_policies: Any = {"tea": 5}

    with pytest.raises(TypeError, match=r"@requires\(\)"):
        requires(may_enter)  # type: ignore[arg-type]  # without parentheses
    with pytest.raises(TypeError, match="@fanout"):
        requires("chat.say")(fanout(classmethod(lambda cls, event: event)))


def test_a_handler_keeps_its_name_and_words() -> None:
    @requires("chat.say")
    async def say(self: Any) -> None:
        """Say it."""

    assert (say.__name__, say.__doc__) == ("say", "Say it.")
