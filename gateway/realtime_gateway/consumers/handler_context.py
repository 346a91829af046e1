"""Lets each handler of a consumer continue the trace of its message, as a span of its own.

Channels receives in tasks of their own and hands each message to ``dispatch`` in another, so a context variable that
was set while receiving is not there when a handler runs. Here the message itself says in which context it is handled
(``telemetry.spans.TracedMessage``), whatever ``dispatch`` a consumer has: Channels', a synchronous consumer's, whose
handlers run in threads, or one of the project's own. A message that is not traced goes the way it always went.

The patch replaces the name ``await_many_dispatch`` in ``channels.consumer`` with a function that calls it. It is
applied only where spans are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import channels.consumer
from channels.exceptions import StopConsumer

from realtime_gateway.consumers import dispatching
from realtime_gateway.telemetry import spans
from realtime_gateway.telemetry.crowd import summed_up

Receive = Callable[[], Awaitable[dict[str, Any]]]
Dispatch = Callable[[dict[str, Any]], Awaitable[None]]


def apply() -> None:
    """Apply the patch; a second call changes nothing."""
    channels.consumer.await_many_dispatch = await_many_dispatch


def remove() -> None:
    """Give Channels its own function back."""
    channels.consumer.await_many_dispatch = dispatching.chosen()


async def await_many_dispatch(consumer_callables: Sequence[Receive], dispatch: Dispatch) -> None:
    """Do what ``channels.utils.await_many_dispatch`` does, with each message in its own context."""
    await dispatching.chosen()(consumer_callables, in_context(dispatch))


def in_context(dispatch: Dispatch) -> Dispatch:
    """Return a dispatch that handles each message in its own context, where spans are made."""
    if channels.consumer.await_many_dispatch is not await_many_dispatch:
        return dispatch

    def dispatch_in_context(message: dict[str, Any]) -> Awaitable[None]:
        if type(message) is dict or not isinstance(message, spans.TracedMessage):
            return dispatch(message)
        if message.crowd is not None:
            return summed_up(dispatch, message, consumer, StopConsumer)
        return _traced(dispatch, message, consumer)

    consumer = type(_consumer_of(dispatch))
    return dispatch_in_context


async def _traced(dispatch: Dispatch, message: spans.TracedMessage, consumer: type) -> None:
    handler = str(message.get("type")).replace(".", "_")
    with spans.handling(message, consumer, handler, StopConsumer):
        await dispatch(message)


def _consumer_of(dispatch: Any) -> object:
    """Return whose method is called in the end; our own consumers wrap theirs (``running``)."""
    while isinstance(dispatch, partial):
        dispatch = dispatch.args[-1]
    return getattr(dispatch, "__self__", dispatch)
