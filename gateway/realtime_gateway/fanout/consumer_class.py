"""What a consumer class makes of events: which of its handlers are marked, and how it renders."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from realtime_gateway.fanout.handlers import FanOutHandler
from realtime_gateway.fanout.rendering import Content, Event, Outcome, failed, no_json
from realtime_gateway.telemetry import spans

T = TypeVar("T")
Encode = Callable[[Any], Any]
RunInThread = Callable[[Callable[[], T]], Awaitable[T]]


class ConsumerClass:
    """One consumer class.

    Args:
        consumer: the class itself.
        encodes_plainly: its ``encode_json`` is Channels' own, which needs no waiting.
        run_in_thread: runs what a synchronous consumer renders; None for an asynchronous one.
    """

    __slots__ = ("_encode", "_handlers", "_slow_encode", "consumer", "run_in_thread")

    def __init__(self, consumer: type, *, encodes_plainly: bool, run_in_thread: RunInThread[Any] | None = None) -> None:
        self.consumer = consumer
        self.run_in_thread = run_in_thread
        encode: Encode | None = getattr(consumer, "encode_json", None)
        self._encode: Encode | None = json.dumps if encode is not None and encodes_plainly else encode
        self._slow_encode = encode is not None and not encodes_plainly
        self._handlers: dict[object, FanOutHandler | None] = {}

    @property
    def has_handlers(self) -> bool:
        """Whether any handler of the class is marked."""
        return any(self._marked(name) for each in self.consumer.__mro__ for name in vars(each))

    def handler_of(self, event: Event) -> FanOutHandler | None:
        """Return the marked handler of an event; None where an ordinary one, or none, has to deal with it."""
        kind = event.get("type")
        if not isinstance(kind, str):
            return None
        try:
            return self._handlers[kind]
        except KeyError:
            found = self._marked(kind.replace(".", "_"))
            if len(self._handlers) < 1000:  # types come from senders, who may make up any number of them
                self._handlers[kind] = found
            return found

    def is_slow(self, handler: FanOutHandler) -> bool:
        """Whether rendering has to be waited for."""
        return handler.is_async or self._slow_encode or self.run_in_thread is not None

    def render(self, handler: FanOutHandler, event: Event) -> Outcome:
        """Render what need not be waited for."""
        excluded = handler.leaves_out(event)
        try:
            with self._span(handler, event):
                content = handler.bound_to(self.consumer)(event)
                return Outcome(self._content(content), excluded, _cause(event))
        except Exception as error:
            failed(self.consumer, handler.name, error)
            return Outcome(None, excluded)

    async def render_slowly(self, handler: FanOutHandler, event: Event) -> Outcome:
        """Render in a task, or in a thread where the consumer is synchronous."""
        excluded = handler.leaves_out(event)
        try:
            with self._span(handler, event):
                return Outcome(await self._slow_content(handler, event), excluded, _cause(event))
        except Exception as error:
            failed(self.consumer, handler.name, error)
            return Outcome(None, excluded)

    def _span(self, handler: FanOutHandler, event: Event) -> AbstractContextManager[None]:
        if not isinstance(event, spans.TracedMessage):
            return nullcontext()
        return spans.handling(event, self.consumer, handler.name, ())

    async def _slow_content(self, handler: FanOutHandler, event: Event) -> Content:
        render = handler.bound_to(self.consumer)
        if self.run_in_thread is not None and not handler.is_async:
            content = await self.run_in_thread(lambda: self._content(render(event)))
        else:
            content = self._content(await render(event) if handler.is_async else render(event))
        encoded: Content = await content if isinstance(content, Awaitable) else content
        return encoded

    def _content(self, content: Any) -> Any:
        if content is None or isinstance(content, str):
            return content
        if isinstance(content, bytes | bytearray | memoryview):
            return bytes(content)
        if self._encode is None:
            raise no_json(self.consumer, content)
        return self._encode(content)

    def _marked(self, name: str) -> FanOutHandler | None:
        for each in self.consumer.__mro__:
            if name in vars(each):
                found = vars(each)[name]
                return found if isinstance(found, FanOutHandler) else None
        return None


def _cause(event: Event) -> spans.Cause | None:
    return spans.current() if isinstance(event, spans.TracedMessage) else None
