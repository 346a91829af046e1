"""Which spans are made for a message, and what they cost a message that is not traced: none at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from realtime_gateway.telemetry import spans

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = 0x0AF7651916CD43DD8448EB211C80319C
RECEIVED = {"type": "websocket.receive", "text": "hello"}


class Traced:
    """Tracing into memory. ``ratio`` may be changed at any time."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampling.ParentBased(sampling.ALWAYS_ON), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracing = spans.Tracing(self.provider.get_tracer("test"), lambda: self.starts)
        self.starts = True

    def finished(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced()
    spans.wire(made.tracing)
    otel_context.attach(Context())
    yield made
    otel_context.attach(Context())
    spans.wire(None)
    made.provider.shutdown()


class Encoded:
    def decode(self) -> dict[str, Any]:
        return {"type": "chat.message"}


def connection(headers: list[tuple[bytes, bytes]] | None = None) -> spans.ConnectionSpans:
    made = spans.connection(headers or [], b"")
    assert made is not None
    return made


def receive(made: spans.ConnectionSpans) -> spans.TracedMessage:
    message = made.received(dict(RECEIVED), 5)
    assert isinstance(message, spans.TracedMessage)
    made.taken(message)
    return message


def test_nothing_is_made_before_a_tracer_is_wired() -> None:
    assert not spans.is_wired()
    assert spans.connection([(b"traceparent", PARENT)], b"") is None
    assert spans.publish("group", "chat_lobby", 1) is None
    assert spans.deliver(b"\0" * 26, "group", "chat_lobby") is None
    assert spans.send(1, False) is None


def test_a_message_goes_on_from_span_to_span(traced: Traced) -> None:
    made = connection()
    message = receive(made)
    assert message == RECEIVED
    with spans.context_of(message):
        publication = spans.publish("group", "chat_lobby", 20)
        assert publication is not None
        with publication:
            publication.settled("done", "shard-1")
    made.handled()
    delivery = spans.deliver(publication.trace, "group", "chat_lobby")
    assert delivery is not None
    event = delivery.carried_by(Encoded()).decode()
    delivery.ended(3, 1)
    with spans.context_of(event):
        sending = spans.send(9, True)
    assert sending is not None
    sending.end()
    found = traced.finished()
    way = ["websocket receive", "publish chat_{name}", "deliver chat_{name}", "websocket send"]
    assert list(found) == ["publish chat_{name}", "websocket receive", "deliver chat_{name}", "websocket send"]
    for parent, child in pairwise(way):
        assert found[child].parent is not None
        assert found[child].parent.span_id == found[parent].context.span_id
    assert dict(found["deliver chat_{name}"].attributes or {})[spans.FAN_OUT] == 3
    assert dict(found["deliver chat_{name}"].attributes or {})[spans.REFUSED] == 1


def test_a_message_that_is_not_sampled_stays_the_dict_that_it_was_and_causes_no_span(traced: Traced) -> None:
    traced.starts = False
    made = connection()
    message = dict(RECEIVED)
    assert made.received(message, 5) is message
    made.taken(message)
    traced.starts = True  # publish would begin a trace of its own now, were it asked
    with spans.inside_connection():
        assert spans.publish("group", "chat_lobby", 1) is None
    assert spans.send(1, False) is None
    assert spans.deliver(b"", "group", "chat_lobby") is None
    made.handled()
    assert traced.finished() == {}


def test_what_is_sent_from_outside_of_connections_may_begin_a_trace(traced: Traced) -> None:
    publication = spans.publish("queue", "thumbnails", 1)
    assert publication is not None
    with publication:
        pass
    assert traced.finished()["publish thumbnails"].parent is None
    traced.starts = False
    assert spans.publish("queue", "thumbnails", 1) is None


def test_a_handshakes_context_decides_whatever_the_ratio(traced: Traced) -> None:
    traced.starts = False
    message = receive(connection([(b"traceparent", PARENT)]))
    assert message.span.get_span_context().trace_id == TRACE
    traced.starts = True
    refused = connection([(b"traceparent", PARENT[:-2] + b"00")])
    assert type(refused.received(dict(RECEIVED), 5)) is dict


def test_a_project_that_does_not_sample_a_span_of_its_own_is_not_traced_below_it(traced: Traced) -> None:
    unsampled = trace.NonRecordingSpan(trace.SpanContext(1, 1, is_remote=False, trace_flags=trace.TraceFlags(0)))
    with trace.use_span(unsampled):
        assert spans.publish("group", "chat_lobby", 1) is None
        assert spans.send(1, False) is None


def test_a_sampler_that_says_no_makes_no_span(traced: Traced) -> None:
    never = TracerProvider(sampler=sampling.ALWAYS_OFF, shutdown_on_exit=False)
    spans.wire(spans.Tracing(never.get_tracer("test"), lambda: True))
    assert type(connection().received(dict(RECEIVED), 5)) is dict
    assert spans.publish("group", "chat_lobby", 1) is None
    never.shutdown()


def test_a_publication_that_fails_says_why(traced: Traced) -> None:
    publication = spans.publish("group", "chat_lobby", 1)
    assert publication is not None
    with publication:
        publication.settled("unavailable", "shard-1")
    with pytest.raises(TimeoutError), spans.publish("queue", "work", 1) or pytest.fail("not traced"):
        raise TimeoutError("with a secret")
    found = traced.finished()
    assert (found["publish chat_{name}"].attributes or {})["error.type"] == "unavailable"
    assert (found["publish work"].attributes or {})["error.type"] == "TimeoutError"
    assert not found["publish work"].events
    assert all(span.status.status_code is trace.StatusCode.ERROR for span in found.values())


async def test_an_application_of_one_task_continues_the_message_until_it_asks_for_the_next(traced: Traced) -> None:
    made = connection()
    message = receive(made)
    assert trace.get_current_span() is message.span
    made.handled()
    assert not otel_context.get_current()
    assert list(traced.finished()) == ["websocket receive"]


async def test_an_application_that_ends_leaves_no_span_open(traced: Traced) -> None:
    made = connection()
    receive(made)
    made.received(dict(RECEIVED), 5)  # never taken

    async def fail() -> None:
        raise LookupError("with a secret")

    task = asyncio.create_task(fail())
    task.add_done_callback(made.application_ended)
    with pytest.raises(LookupError):
        await task
    handled, waiting = traced.exporter.get_finished_spans()
    assert (handled.attributes or {})["error.type"] == "LookupError"
    assert [event.name for event in waiting.events] == ["never taken by the application"]


@pytest.mark.parametrize("data", [b"\1" * 26, b"short", b"\0" * 26])
def test_a_context_that_cannot_be_read_delivers_without_a_span(traced: Traced, data: bytes) -> None:
    assert spans.deliver(data, "group", "chat_lobby") is None
