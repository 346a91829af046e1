"""How our consumers run: as Channels' do, as members of the fan-out where their class is, and without a trace after."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import channels.consumer
from asgiref.sync import async_to_sync
from channels.consumer import get_handler_name
from channels.exceptions import StopConsumer

from realtime_gateway.consumers.dispatching import Dispatch, Looked, feed, source_of
from realtime_gateway.consumers.handler_context import in_context
from realtime_gateway.consumers.lanes import LANES, Lane
from realtime_gateway.consumers.permissions import GuardedLayer
from realtime_gateway.fanout.batch import Member
from realtime_gateway.fanout.consumer_class import ConsumerClass
from realtime_gateway.fanout.delivery import FanOut, fan_out_of
from realtime_gateway.security.permissions import GroupPolicies, Rule

logger = logging.getLogger("realtime_gateway.consumers")

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

OUTBOX = "realtime_gateway.outbox"
# Where the methods of a consumer that may be written to directly are defined; any other place is an override, which
# wants to see everything that is sent.
PLAIN_MODULES = frozenset({"channels.consumer", "channels.generic.websocket", "realtime_gateway.consumers.websocket"})
_KEY = "_realtime_gateway_fan_out_class"


class RunsHere:
    """What our consumers have before Channels' own.

    Attributes:
        fanout_direct: whether @fanout handlers may write straight to sockets, past middleware that wraps ``send``.
        group_policies: which groups the consumer may join: pattern → True, a permission, or a callable of user and
            group; None leaves all of it to the consumer.
    """

    fanout_direct = True
    group_policies: Mapping[str, Rule] | None = None
    _policies: GroupPolicies | None = None

    # Of Channels' consumers, which stand behind this class and have no types.
    _sync: bool
    channel_layer_alias: str
    scope: dict[str, Any]
    channel_layer: Any
    channel_name: str
    base_send: Any
    channel_receive: Receive
    dispatch: Callable[[Message], Awaitable[None]]

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "group_policies" in vars(cls):
            cls._policies = None if cls.group_policies is None else GroupPolicies(cls.group_policies)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Run the consumer; what ``channels.consumer.AsyncConsumer.__call__`` does, and what is ours around it."""
        self.scope = scope
        self.base_send = async_to_sync(send) if self._sync else send
        # Through its module, as everything of Channels that tests and patches replace by name.
        self.channel_layer = layer = channels.consumer.get_channel_layer(self.channel_layer_alias)
        if layer is None:
            await _until_stopped([source_of(receive)], self.dispatch)
            return
        if self._policies is not None:
            self.channel_layer = GuardedLayer(layer, self, self._policies)
        self.channel_name = await layer.new_channel()
        try:
            self.channel_receive = functools.partial(layer.receive, self.channel_name)
            consumer_class = fan_out_class(type(self))
            fan_out = None if consumer_class is None else fan_out_of(layer)
            if consumer_class is None or fan_out is None:
                await _until_stopped([source_of(receive), source_of(self.channel_receive)], self.dispatch)
            else:
                await self._run_as_member(receive, fan_out, consumer_class)
        finally:
            await _forget(layer, self.channel_name)

    async def _run_as_member(self, receive: Receive, fan_out: FanOut, consumer_class: ConsumerClass) -> None:
        outbox = (self.scope.get("extensions") or {}).get(OUTBOX) if self.fanout_direct else None
        member = fan_out.add(self.channel_name, consumer_class, outbox)
        try:
            note = member.count
            sources = [source_of(one, note) for one in (receive, self.channel_receive)]
            await _until_stopped(sources, functools.partial(_handle, fan_out, member, self.dispatch))
        finally:
            fan_out.remove(member)

    def _is_notice_for_others(self, message: Message) -> bool:
        """Whether the layer tells every channel what this class has no handler for."""
        kind = message.get("type")
        layer = self.channel_layer
        return (
            kind is not None
            and kind in (getattr(layer, "on_disconnect", None), getattr(layer, "on_reconnect", None))
            and not hasattr(self, get_handler_name(message))
        )


class RunsInLane(RunsHere):
    """The same for synchronous consumers, whose handlers run in a thread."""

    _lane: Lane
    _handle_in_lane: Callable[[Message], Awaitable[None]]

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Run the consumer in a lane of its own or one that it shares."""
        self._lane = lane = LANES.enter()
        self._handle_in_lane = lane.wrap(self._handle_message)
        try:
            await super().__call__(scope, receive, send)
        finally:
            lane.leave()

    def _handle_message(self, message: Message) -> None:
        handler = getattr(self, get_handler_name(message), None)
        if handler is None:
            raise ValueError(f"No handler for message type {message['type']}")
        handler(message)


def fan_out_class(consumer: type) -> ConsumerClass | None:
    """Return what the fan-out has to know of a class; None where it has no marked handler, or overrides what sends."""
    if _KEY not in vars(consumer):
        setattr(consumer, _KEY, _examine(consumer))
    known: ConsumerClass | None = vars(consumer)[_KEY]
    return known


def _examine(consumer: type) -> ConsumerClass | None:
    overridden = any(_defined_in(consumer, name) not in PLAIN_MODULES for name in ("send", "send_json", "dispatch"))
    sync = getattr(consumer, "_sync", False)
    examined = ConsumerClass(
        consumer,
        encodes_plainly=_defined_in(consumer, "encode_json") in PLAIN_MODULES,
        run_in_thread=LANES.render if sync else None,
    )
    return examined if examined.has_handlers and not overridden else None


def _defined_in(consumer: type, name: str) -> str:
    """Return the module of the class that defines a method; one of Channels' where none does."""
    return next((each.__module__ for each in consumer.__mro__ if name in vars(each)), "channels.consumer")


async def _until_stopped(sources: list[Looked], dispatch: Dispatch) -> None:
    try:  # noqa: SIM105 - contextlib's way would keep an object and a method for as long as the connection
        await feed(sources, in_context(dispatch))
    except StopConsumer:
        pass


async def _handle(fan_out: FanOut, member: Member, dispatch: Dispatch, message: Message) -> None:
    # In the step of the loop in which the message was taken: there is none in which the member seems to be free.
    member.unhandled += 1
    try:
        await dispatch(message)
    finally:
        member.unhandled -= 1
    if member.waiting and not member.unhandled:
        fan_out.released(member)


async def _forget(layer: Any, channel: str) -> None:
    forget = getattr(layer, "forget", None)
    if forget is None:
        return
    try:
        await forget(channel)
    except Exception:
        logger.exception("The channel layer could not forget %s", channel)
