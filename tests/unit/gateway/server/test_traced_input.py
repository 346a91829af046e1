"""A traced client is looked into as any other, and the context of its messages reaches no message of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.exceptions import StopConsumer
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from realtime_gateway.consumers import dispatching
from realtime_gateway.server.application_run import InputQueue
from realtime_gateway.server.inbox import Inbox
from realtime_gateway.server.traced_input import TracedInput
from realtime_gateway.telemetry import socket_spans, spans

RECEIVED = {"type": "websocket.receive", "text": "hello"}


class AtAnyPace:
    """Is never read from too much."""

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Client:
    """A connection whose messages are traced, and the spans that have ended."""

    def __init__(self, tracing: spans.Tracing, ended: InMemorySpanExporter) -> None:
        self.spans = socket_spans.ConnectionSpans(tracing, None, "http", "/")
        loop, inbox = asyncio.get_running_loop(), Inbox(100_000, 50_000)
        self.input = TracedInput(loop, inbox, AtAnyPace(), self.spans)
        self._ended = ended

    def says(self) -> None:
        self.input.put_nowait(self.spans.received(dict(RECEIVED), 5))

    def handled(self) -> int:
        return sum(span.name == "websocket receive" for span in self._ended.get_finished_spans())


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    ended = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampling.ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ended))
    token = otel_context.attach(Context())
    yield Client(spans.Tracing(provider.get_tracer("test"), lambda: True), ended)
    otel_context.detach(token)
    provider.shutdown()


async def test_a_traced_client_is_fed_without_a_task_for_each_message(client: Client) -> None:
    assert dispatching.source_of(client.input.get) is client.input


async def test_a_message_of_others_is_handled_outside_of_the_clients_trace(client: Client) -> None:
    others = InputQueue(asyncio.get_running_loop(), Inbox(100_000, 50_000), AtAnyPace())
    seen: list[tuple[str, bool]] = []

    async def dispatch(message: dict[str, Any]) -> None:
        seen.append((message["type"], trace.get_current_span().get_span_context().is_valid))
        if len(seen) == 4:
            raise StopConsumer

    for _ in range(2):
        client.says()
        others.put_nowait({"type": "said"})
    sources = [dispatching.source_of(source.get) for source in (client.input, others)]
    with pytest.raises(StopConsumer):
        await dispatching.feed(sources, dispatch)
    assert seen == [("websocket.receive", False), ("said", False)] * 2, "the message itself says where it belongs"


async def test_its_span_ends_when_the_next_one_is_asked_for(client: Client) -> None:
    client.says()
    assert isinstance(client.input.take(), spans.TracedMessage)
    assert client.handled() == 0
    assert client.input.take() is None
    assert client.handled() == 1


async def test_whoever_awaits_a_message_goes_on_in_its_context_up_to_the_next(client: Client) -> None:
    client.says()
    message = await client.input.get()
    assert trace.get_current_span().get_span_context() == message.span.get_span_context()  # type: ignore[attr-defined]
    waiting = asyncio.ensure_future(client.input.get())
    await asyncio.sleep(0)
    assert client.handled() == 1
    waiting.cancel()
    client.input.put_nowait({"type": "websocket.disconnect"})
    assert (await client.input.get())["type"] == "websocket.disconnect"
