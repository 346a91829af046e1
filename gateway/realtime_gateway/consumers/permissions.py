"""``@requires`` for what a client asks of a consumer, and groups that it cannot join without leave.

class Room(AsyncJsonWebsocketConsumer):
group_policies = {"room-*": may_enter, "staff": "chat.moderate"}

@requires("chat.add_message")
async def receive_json(self, content): ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, cast

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async

from realtime_gateway.security.denial import Reason
from realtime_gateway.security.permissions import GroupPolicies, NotAllowed, may, note_refusal
from realtime_gateway.security.site_functions import awaited, is_async, is_awaitable, result_of

Handler = TypeVar("Handler", bound=Callable[..., Any])


def requires(
    *permissions: str, of: Callable[..., Any] | None = None, close: bool = False
) -> Callable[[Handler], Handler]:
    """Let a handler run for users who are logged in and have all permissions; others are refused.

    Args:
        permissions: as ``has_perm`` takes them; none wants a user who is logged in.
        of: returns the object that the permissions are about, from the consumer and the handler's arguments; may be
            ``async``; one that is not runs where it may use the database.
        close: close the WebSocket with 4403.

    Raises:
        TypeError: it stands without parentheses, or on what is no method of a consumer.
    """
    if any(not isinstance(permission, str) for permission in permissions):
        raise TypeError('Write @requires("app.permission"), or @requires() for users who are logged in.')

    find = of or _nothing

    def decorate(handler: Handler) -> Handler:
        if not inspect.isfunction(handler):
            raise TypeError("@requires is for methods; a @fanout handler is for nobody in particular.")
        refused = f"{handler.__qualname__} is for users with {', '.join(permissions) or 'a login'}"

        async def in_loop(consumer: Any, *given: Any, **named: Any) -> Any:
            def look() -> Any:
                about = find(consumer, *given, **named)
                return about if is_awaitable(about) else _may(consumer, permissions, about)

            # One hop into a thread for both, where ``of`` is not async.
            found = look() if is_async(find) else await database_sync_to_async(look)()
            if is_awaitable(found):
                found = await database_sync_to_async(_may)(consumer, permissions, await found)
            if not found:
                raise NotAllowed(refused, close=close)
            return await handler(consumer, *given, **named)

        def in_thread(consumer: Any, *given: Any, **named: Any) -> Any:
            about = _awaited_in_thread(find(consumer, *given, **named))
            if not _may(consumer, permissions, about):
                raise NotAllowed(refused, close=close)
            return handler(consumer, *given, **named)

        guarded = in_loop if inspect.iscoroutinefunction(handler) else in_thread
        return cast(Handler, functools.wraps(handler)(guarded))

    return decorate


def _nothing(consumer: Any, *given: Any, **named: Any) -> Any:
    return None


def _awaited_in_thread(found: Any) -> Any:
    return async_to_sync(awaited)(found) if is_awaitable(found) else found


def _may(consumer: Any, permissions: tuple[str, ...], about: Any) -> bool:
    return may(consumer.scope.get("user"), permissions, about)


class GuardedLayer:
    """A consumer's channel layer: its own channel joins a group only by the policies; all else is the layer's.

    Args:
        layer: the layer.
        consumer: whose it is, with its ``scope`` and ``channel_name``.
        policies: of its class.
    """

    def __init__(self, layer: Any, consumer: Any, policies: GroupPolicies) -> None:
        self._layer = layer
        self._consumer = consumer
        self._policies = policies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)

    async def group_add(self, group: str, channel: str) -> None:
        """Join, or raise.

        Raises:
            NotAllowed: the policies do not let the consumer's user into the group.
        """
        if channel == self._consumer.channel_name and not await self._is_open(group):
            raise NotAllowed(f"the group {group} is not for this user", reason=Reason.GROUP)
        await self._layer.group_add(group, channel)

    async def _is_open(self, group: str) -> bool:
        rule, user = self._policies.rule(group), self._consumer.scope.get("user")
        if isinstance(rule, bool):
            return rule
        if isinstance(rule, str):
            return bool(await database_sync_to_async(may)(user, (rule,)))
        return bool(await result_of(rule, user, group))


class Answer(Enum):
    """What a client hears of a refusal."""

    TELL = "tell"
    CLOSE = "close"
    NOTHING = "nothing"


def answer_to(kind: object, refused: NotAllowed, scope: dict[str, Any]) -> Answer:
    """Count a refusal while a message of some type was handled, and return what the client hears of it."""
    note_refusal(scope, refused)
    if kind == "websocket.connect":
        return Answer.CLOSE  # it has been half-way through, and has joined half of what it should
    if kind != "websocket.receive":
        return Answer.NOTHING  # it was not the client who asked
    return Answer.CLOSE if refused.close else Answer.TELL
