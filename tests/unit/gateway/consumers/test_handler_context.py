"""Each handler continues the span of its own message, and of no other one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import channels.consumer
import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.exceptions import StopConsumer
from channels.testing import ApplicationCommunicator
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan, SpanContext

from realtime_gateway.consumers import dispatching, handler_context
from realtime_gateway.telemetry.spans import TracedMessage


def span(number: int) -> NonRecordingSpan:
    return NonRecordingSpan(SpanContext(number, number, is_remote=False))


def current() -> int:
    """The number of the span that a handler runs in; 0 for none."""
    return trace.get_current_span().get_span_context().span_id


@pytest.fixture(autouse=True)
def patched() -> Iterator[None]:
    handler_context.apply()
    yield
    handler_context.remove()
    assert channels.consumer.await_many_dispatch is dispatching.chosen()


async def tell(consumer: Any, message: dict[str, Any]) -> None:
    await consumer.send({"type": "told", "span": current(), "kind": message["type"]})


class Asynchronous(AsyncConsumer):
    async def ask(self, message: dict[str, Any]) -> None:
        await tell(self, message)

    async def end(self, message: dict[str, Any]) -> None:
        raise StopConsumer


class Overridden(Asynchronous):
    async def dispatch(self, message: dict[str, Any]) -> None:
        await super().dispatch(message)


class InThreads(SyncConsumer):
    def ask(self, message: dict[str, Any]) -> None:
        self.send({"type": "told", "span": current(), "kind": message["type"]})

    def end(self, message: dict[str, Any]) -> None:
        raise StopConsumer


@pytest.mark.parametrize("consumer", [Asynchronous, Overridden, InThreads])
async def test_a_handler_continues_the_span_of_its_message(consumer: type[AsyncConsumer]) -> None:
    communicator = ApplicationCommunicator(consumer.as_asgi(), {"type": "websocket"})
    for number in (7, 0, 8):
        message: dict[str, Any] = {"type": "ask"}
        await communicator.send_input(TracedMessage(message, span(number), 0.0) if number else message)
        assert await communicator.receive_output() == {"type": "told", "span": number, "kind": "ask"}
    await communicator.send_input({"type": "end"})
    await communicator.wait()


async def test_whatever_else_the_context_of_a_consumer_holds_stays() -> None:
    seen = []

    async def dispatch(message: dict[str, Any]) -> None:
        seen.append((current(), baggage.get_baggage("tenant")))
        raise StopConsumer

    async def receive() -> dict[str, Any]:
        return TracedMessage({"type": "ask"}, span(7), 0.0)

    otel_context.attach(baggage.set_baggage("tenant", "town"))
    with pytest.raises(StopConsumer):
        await handler_context.await_many_dispatch([receive], dispatch)
    assert seen == [(7, "town")]


async def test_a_message_without_a_span_costs_no_coroutine() -> None:
    seen = []

    def dispatch(message: dict[str, Any]) -> Any:
        seen.append(message)
        raise StopConsumer

    async def receive() -> dict[str, Any]:
        return {"type": "ask"}

    with pytest.raises(StopConsumer):
        await handler_context.await_many_dispatch([receive], dispatch)
    assert seen == [{"type": "ask"}]
