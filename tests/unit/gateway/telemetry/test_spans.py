"""Which spans are made for a message, and what they cost a message that is not traced: none at all."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any, NamedTuple, cast

import pytest
from channels.layers import InMemoryChannelLayer
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from realtime_gateway.fanout.rendering import TracedRenderedEvent
from realtime_gateway.telemetry import layer_spans, socket_spans, spans

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


class Trip(NamedTuple):
    sent_at: float
    answered_at: float
    messages: int
    tries: int


class Way(NamedTuple):
    sender_seconds: float
    redis_seconds: float
    error_seconds: float
    replayed: bool


def pickled(given: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(given, protocol))


class Encoded:
    def decode(self) -> dict[str, Any]:
        return {"type": "chat.message"}


def connection(headers: list[tuple[bytes, bytes]] | None = None) -> socket_spans.ConnectionSpans:
    made = socket_spans.connection(headers or [], b"")
    assert made is not None
    return made


def receive(made: socket_spans.ConnectionSpans) -> spans.TracedMessage:
    message = made.received(dict(RECEIVED), 5)
    assert isinstance(message, spans.TracedMessage)
    made.taken(message)
    made.continued_here(message)
    return message


def test_nothing_is_made_before_a_tracer_is_wired() -> None:
    assert not spans.is_wired()
    assert socket_spans.connection([(b"traceparent", PARENT)], b"") is None
    assert layer_spans.publish("group", "chat_lobby", 1) is None
    assert layer_spans.deliver(b"\0" * 26, "group", "chat_lobby") is None
    assert socket_spans.send(1, False) is None


def test_a_message_goes_on_from_span_to_span(traced: Traced) -> None:
    made = connection()
    message = receive(made)
    assert message == RECEIVED
    with spans.context_of(message):
        publication = layer_spans.publish("group", "chat_lobby", 20)
        assert publication is not None
        with publication:
            answered_at = time.monotonic()
            publication.settled("done", "shard-1", Trip(answered_at - 0.5, answered_at, 3, 2))
    made.handled()
    delivery = layer_spans.deliver(publication.trace, "group", "chat_lobby", Way(0.25, 0.0015, 0.002, True))
    assert delivery is not None
    event = delivery.carried_by(Encoded()).decode()
    delivery.ended(3, 1)
    with spans.context_of(event):
        sending = socket_spans.send(9, True)
    assert sending is not None
    sending.end()
    found = traced.finished()
    way = ["websocket receive", "publish chat_{name}", "deliver chat_{name}", "websocket send"]
    assert list(found) == ["EVALSHA publish", *(way[n] for n in (1, 0, 2, 3))]
    for parent, child in pairwise(way):
        assert found[child].parent is not None
        assert found[child].parent.span_id == found[parent].context.span_id
    attributes = dict(found["deliver chat_{name}"].attributes or {})
    assert (attributes[spans.FAN_OUT], attributes[spans.REFUSED], attributes[spans.REPLAYED]) == (3, 1, True)
    assert [attributes[one] for one in (spans.SENDER_MS, spans.REDIS_MS, spans.REDIS_ERROR_MS)] == [250.0, 1.5, 2.0]
    stored, published = found["EVALSHA publish"], found["publish chat_{name}"]
    assert stored.parent is not None
    assert stored.parent.span_id == published.context.span_id
    assert dict(stored.attributes or {})["db.operation.batch.size"] == 3
    assert dict(published.attributes or {})[spans.TRIES] == 2
    # The call seems to be half a second older than the message: the loop's clock stood still.
    assert (published.start_time or 0) <= (stored.start_time or 0) <= (stored.end_time or 0)


def test_what_was_delivered_before_is_a_delivery_to_nobody(traced: Traced) -> None:
    publication = layer_spans.publish("group", "chat_lobby", 1)
    assert publication is not None
    delivery = layer_spans.deliver(publication.trace, "group", "chat_lobby", Way(0.0, 0.0, inf, True))
    assert delivery is not None
    delivery.repeated()
    attributes = dict(traced.finished()["deliver chat_{name}"].attributes or {})
    assert (attributes[spans.FAN_OUT], attributes[spans.DUPLICATES]) == (0, 1)
    assert spans.REDIS_ERROR_MS not in attributes


def test_a_handler_is_a_span_that_knows_how_long_its_message_has_waited(traced: Traced) -> None:
    message = spans.TracedMessage(
        {"type": "chat.message"}, traced.tracing.tracer.start_span("deliver"), time.monotonic() - 3
    )
    with pytest.raises(StopIteration), spans.handling(message, Traced, "finished", StopIteration):
        raise StopIteration
    with pytest.raises(KeyError), spans.handling(message, Traced, "made up by a sender", StopIteration):
        raise KeyError("with a secret")
    found = traced.finished()
    done, failed = found["Traced.finished"], found["Traced.{no handler}"]
    assert dict(done.attributes or {})["code.function.name"] == f"{__name__}.Traced.finished"
    assert cast(float, dict(done.attributes or {})[spans.MAILBOX_MS]) >= 3000
    assert done.status.is_ok
    assert (failed.attributes or {})["error.type"] == "KeyError"
    assert not failed.events
    assert not otel_context.get_current()


@pytest.mark.parametrize("is_rendered", [False, True])
@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(partial(pickled, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1))],
)
def test_a_copy_of_a_traced_message_is_a_plain_dict(
    copied: Callable[[Any], Any], is_rendered: bool, traced: Traced
) -> None:
    said = {"type": "chat.message", "to": ["a", "b"]}
    message = spans.TracedMessage(said, traced.tracing.tracer.start_span("deliver"), time.monotonic())
    event = TracedRenderedEvent(message, {}) if is_rendered else message
    made = copied(event)
    assert (type(made), made) == (dict, said)
    assert (made["to"] is said["to"]) == (copied is copy.copy)


async def test_another_layer_takes_a_traced_message(traced: Traced) -> None:
    """channels' own layer copies what it is given."""
    layer = InMemoryChannelLayer()
    message = spans.TracedMessage(
        {"type": "chat.message"}, traced.tracing.tracer.start_span("deliver"), time.monotonic()
    )
    await layer.send("a", message)
    assert await layer.receive("a") == {"type": "chat.message"}


@pytest.mark.parametrize("error", [None, ValueError])
def test_a_clients_message_is_received_until_its_handler_ends_though_no_other_is_asked_for(
    error: type[Exception] | None, traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    made = connection()
    message = receive(made)
    with suppress(ValueError), spans.handling(message, Traced, "finished", StopIteration):
        assert "websocket receive" not in traced.finished()
        if error is not None:
            raise error
    found = traced.finished()
    assert found["websocket receive"].status.is_ok == (error is None)
    ended_at = found["websocket receive"].end_time
    made.handled()
    assert traced.finished()["websocket receive"].end_time == ended_at
    assert not otel_context.get_current()
    assert not caplog.records  # the SDK complains of what comes too late


def test_a_handshake_says_how_it_was_answered_and_nothing_that_comes_later(
    traced: Traced, caplog: pytest.LogCaptureFixture
) -> None:
    made = connection([(b"traceparent", PARENT)])
    assert made.handshake is not None
    scope = {"extensions": {socket_spans.SCOPE_KEY: made.handshake}}
    socket_spans.note_handshake(scope, spans.AUTH, "anonymous")
    made.handshake.ended("accepted", 101)
    socket_spans.note_handshake(scope, spans.AUTH, "group")
    made.handshake.ended("abandoned", None)
    found = traced.finished()["GET"]
    attributes = dict(found.attributes or {})
    assert (attributes[spans.HANDSHAKE_RESULT], attributes[spans.AUTH]) == ("accepted", "anonymous")
    assert attributes["http.response.status_code"] == 101
    assert "url.path" not in attributes
    assert found.status.is_ok
    assert not caplog.records  # the SDK complains of what comes too late


@pytest.mark.parametrize(("result", "status"), [("failed", 500), ("abandoned", None)])
def test_a_handshake_without_an_answer_or_with_an_error_has_failed(
    traced: Traced, result: str, status: int | None
) -> None:
    handshake = connection().handshake
    assert handshake is not None
    handshake.ended(result, status)
    assert traced.finished()["GET"].status.status_code is trace.StatusCode.ERROR


def test_a_message_brings_its_own_context_only_where_that_is_asked_for(traced: Traced) -> None:
    message = {"type": "websocket.receive", "text": json.dumps({"traceparent": PARENT.decode()})}
    traced.starts = False
    assert type(connection().received(message, 5)) is dict
    spans.wire(replace(traced.tracing, reads_messages=True))
    of_message = connection([(b"traceparent", PARENT[:-2] + b"00")]).received(message, 5)
    assert isinstance(of_message, spans.TracedMessage)
    assert of_message.span.get_span_context().trace_id == TRACE
    assert type(connection().received({"type": "websocket.receive", "bytes": b"x"}, 1)) is dict


def test_bytes_that_the_socket_has_not_taken_are_said(traced: Traced) -> None:
    with spans.context_of(receive(connection())):
        for unsent_bytes in (0, 70_000):
            sending = socket_spans.send(9, True)
            assert sending is not None
            socket_spans.sent(sending, unsent_bytes)
    unsent = [dict(span.attributes or {}).get(spans.UNSENT_BYTES) for span in traced.exporter.get_finished_spans()]
    assert unsent == [None, 70_000]


def test_a_message_that_is_not_sampled_stays_the_dict_that_it_was_and_causes_no_span(traced: Traced) -> None:
    traced.starts = False
    made = connection()
    message = dict(RECEIVED)
    assert made.received(message, 5) is message
    made.taken(message)
    made.continued_here(message)
    traced.starts = True  # publish would begin a trace of its own now, were it asked
    with socket_spans.inside_connection():
        assert layer_spans.publish("group", "chat_lobby", 1) is None
    assert socket_spans.send(1, False) is None
    assert layer_spans.deliver(b"", "group", "chat_lobby") is None
    made.handled()
    assert traced.finished() == {}


def test_what_is_sent_from_outside_of_connections_may_begin_a_trace(traced: Traced) -> None:
    publication = layer_spans.publish("queue", "thumbnails", 1)
    assert publication is not None
    with publication:
        pass
    assert traced.finished()["publish thumbnails"].parent is None
    traced.starts = False
    assert layer_spans.publish("queue", "thumbnails", 1) is None


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
        assert layer_spans.publish("group", "chat_lobby", 1) is None
        assert socket_spans.send(1, False) is None


def test_a_sampler_that_says_no_makes_no_span(traced: Traced) -> None:
    never = TracerProvider(sampler=sampling.ALWAYS_OFF, shutdown_on_exit=False)
    spans.wire(spans.Tracing(never.get_tracer("test"), lambda: True))
    assert type(connection().received(dict(RECEIVED), 5)) is dict
    assert layer_spans.publish("group", "chat_lobby", 1) is None
    never.shutdown()


def test_a_publication_that_fails_says_why(traced: Traced) -> None:
    publication = layer_spans.publish("group", "chat_lobby", 1)
    assert publication is not None
    with publication:
        publication.settled("unavailable", "shard-1", None)
    with pytest.raises(TimeoutError), layer_spans.publish("queue", "work", 1) or pytest.fail("not traced"):
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
    assert layer_spans.deliver(data, "group", "chat_lobby") is None


async def test_baggage_of_a_client_is_neither_read_nor_handed_on(traced: Traced) -> None:
    made = connection([(b"traceparent", PARENT), (b"baggage", b"tenant=town")])
    message = receive(made)
    made.taken(message)
    made.continued_here(message)
    assert not baggage.get_all()
    with spans.context_of(message):
        assert not baggage.get_all()
        publication = layer_spans.publish("group", "chat_lobby", 5)
    assert publication is not None
    assert b"town" not in publication.trace
    assert "town" not in repr([span.attributes for span in traced.finished().values()])
