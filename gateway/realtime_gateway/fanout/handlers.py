"""The mark ``@fanout``: a handler that says what all members of a group get, rather than what one of them does.

    class Room(AsyncJsonWebsocketConsumer):
        @fanout
        @classmethod
        def chat_message(cls, event):
            return {"message": event["message"]}

Looked up on the class it is the classmethod that renders. Looked up on an instance, as every dispatch does, it is an
ordinary handler that renders and sends, so that the class works on any server and with any channel layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias, overload

from asgiref.sync import async_to_sync

from realtime_gateway.fanout.rendering import Event, failed, no_json, outcome_in


class FanOutHandler:
    """A handler marked with ``@fanout``.

    Attributes:
        name: of the attribute that it stands under.
        exclude: the event's key that holds the channel name of whoever is left out; None leaves out nobody.
        is_async: whether rendering is a coroutine.
    """

    def __init__(self, render: classmethod[Any, Any, Any], exclude: str | None) -> None:
        self._render = render
        self.name = render.__func__.__name__
        self.exclude = exclude
        self.is_async = inspect.iscoroutinefunction(render.__func__)
        self.__doc__ = render.__func__.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Callable[[Event], Any]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Callable[[Event], Any]: ...
    def __get__(self, instance: object | None, owner: type) -> Callable[[Event], Any]:
        if instance is None:
            return self.bound_to(owner)
        return partial(self._handle_blocking if getattr(owner, "_sync", False) else self._handle, instance)

    def bound_to(self, consumer: type) -> Callable[[Event], Any]:
        """Return what renders for a consumer class; it returns an awaitable where ``is_async``."""
        bound: Callable[[Event], Any] = self._render.__get__(None, consumer)
        return bound

    def leaves_out(self, event: Event) -> str | None:
        """Return the channel that an event is not for; who sends it may have put anything there."""
        excluded = None if self.exclude is None else event.get(self.exclude)
        return excluded if isinstance(excluded, str) else None

    # As an ordinary handler

    async def _handle(self, consumer: Any, event: Event) -> None:
        send = self._send(consumer, await self._content(type(consumer), event), event)
        if send is not None:
            await send()

    def _handle_blocking(self, consumer: Any, event: Event) -> None:
        if self.is_async:
            content = async_to_sync(self._content)(type(consumer), event)
        else:
            content = self._first_step(type(consumer), event)
        send = self._send(consumer, content, event)
        if send is not None:
            send()

    async def _content(self, consumer: type, event: Event) -> Any:
        content = self._first_step(consumer, event)
        if not isinstance(content, Awaitable):
            return content
        try:
            return await content
        except Exception as error:
            failed(consumer, self.name, error)
            return None

    def _first_step(self, consumer: type, event: Event) -> Any:
        outcome = outcome_in(event, consumer)
        if outcome is not None:
            return outcome.content
        try:
            return self.bound_to(consumer)(event)
        except Exception as error:
            failed(consumer, self.name, error)
            return None

    def _send(self, consumer: Any, content: Any, event: Event) -> Callable[[], Any] | None:
        """Return the call that sends the content, if it is to be sent."""
        if content is None or self.leaves_out(event) == consumer.channel_name:
            return None
        if isinstance(content, str):
            if outcome_in(event, type(consumer)) is None:  # nobody has encoded it yet
                try:
                    content.encode()
                except UnicodeEncodeError as error:
                    failed(type(consumer), self.name, error)
                    return None
            return partial(consumer.send, text_data=content)
        if isinstance(content, bytes | bytearray | memoryview):
            return partial(consumer.send, bytes_data=bytes(content))
        if not hasattr(consumer, "send_json"):
            failed(type(consumer), self.name, no_json(type(consumer), content))
            return None
        return partial(consumer.send_json, content)


# What type checkers see under the mark: mypy takes @classmethod off before it looks at what stands above it.
Markable: TypeAlias = "Callable[..., Any] | classmethod[Any, Any, Any]"


@overload
def fanout(handler: Markable, /) -> FanOutHandler: ...
@overload
def fanout(*, exclude: str) -> Callable[[Markable], FanOutHandler]: ...
def fanout(
    handler: Markable | None = None, /, *, exclude: str | None = None
) -> FanOutHandler | Callable[[Markable], FanOutHandler]:
    """Mark a classmethod as a handler that is run once per process for all members of a group.

    The classmethod takes the event and returns str, bytes, None for nothing, or content for ``encode_json``; it may be
    ``async``. What is for one user only belongs into an ordinary handler.

    Args:
        handler: the classmethod.
        exclude: the event's key that holds the channel name of a member that gets nothing, such as the sender's.

    Raises:
        TypeError: the handler is not a classmethod.
    """
    if handler is None:
        return lambda marked: _mark(marked, exclude)
    return _mark(handler, exclude)


def _mark(handler: Any, exclude: str | None) -> FanOutHandler:
    if not isinstance(handler, classmethod):
        name = getattr(handler, "__qualname__", repr(handler))
        raise TypeError(
            f"@fanout marks classmethods, and {name} is none: it runs once for all members of a group, so there is no "
            "self whose socket or user it could know. Write @fanout above @classmethod, and def handler(cls, event)."
        )
    return FanOutHandler(handler, exclude)
