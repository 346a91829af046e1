"""Of a delivery to very many the first members have spans of their own; the others are summed up, and fail alone."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from channels.exceptions import StopConsumer
from opentelemetry import baggage, trace
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from realtime_gateway.telemetry import crowd, kept, layer_spans, socket_spans, spans
from realtime_gateway.telemetry.crowd import DETAILED
from realtime_gateway.telemetry.own_spans import OwnSpans

DELIVER, HANDLER, SEND = "deliver chat_{name}", "Chat.chat_message", "websocket send"
OTHERS = 5

Handler = Callable[[spans.TracedMessage], Awaitable[None]]


class Chat:
    def chat_message(self) -> None: ...


class Other:
    def chat_message(self) -> None: ...


class Encoded:
    def decode(self) -> dict[str, Any]:
        return {"type": "chat.message"}


class Taken:
    """What has ended, in the SDK's form."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def sums(self, name: str = HANDLER) -> list[ReadableSpan]:
        return [span for span in self.named(name) if spans.MEMBERS in (span.attributes or {})]


@pytest.fixture(params=["ours", "a project's"])
def taken(request: pytest.FixtureRequest) -> Iterator[Taken]:
    made = Taken()
    if request.param == "ours":
        own = OwnSpans(partial(TracerProvider, shutdown_on_exit=False))
        own._plain.ended = (lambda span: made.spans.append(span.readable()),)  # type: ignore[union-attr]
        tracing = spans.Tracing(own.tracer, lambda: True, child=own.tracer.child)  # type: ignore[attr-defined]
    else:
        exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        made.spans = exporter._finished_spans
        tracing = spans.Tracing(provider.get_tracer("test"), lambda: True)
    spans.wire(tracing)
    token = otel_context.attach(Context())
    yield made
    otel_context.detach(token)
    spans.wire(None)


class Delivery:
    """One message for some members; dropped, nobody else gets it."""

    def __init__(self) -> None:
        publication = layer_spans.publish("group", "chat_lobby", 1)
        assert publication is not None
        delivery = layer_spans.deliver(publication.trace, "group", "chat_lobby")
        assert delivery is not None
        self.body: layer_spans.TracedBody | None = delivery.carried_by(Encoded())
        delivery.ended(DETAILED + OTHERS)

    def message(self) -> spans.TracedMessage:
        assert self.body is not None
        found = self.body.decode()
        assert isinstance(found, spans.TracedMessage)
        return found


def above(found: list[ReadableSpan]) -> set[int]:
    """The ids of their parents."""
    return {span.parent.span_id for span in found if span.parent is not None}


async def send(message: spans.TracedMessage) -> None:
    sending = socket_spans.send(9, is_binary=False)
    if sending is not None:
        socket_spans.sent(sending, 0)


async def handle(message: spans.TracedMessage, handler: Handler = send, consumer: type = Chat) -> None:
    """What ``consumers.handler_context`` does."""
    if message.crowd is None:
        with spans.handling(message, consumer, "chat_message", StopConsumer):
            await handler(message)
    else:
        await crowd.summed_up(handler, message, consumer, StopConsumer)


async def to_all_of(delivery: Delivery, handler: Handler = send) -> None:
    for _ in range(DETAILED):
        await handle(delivery.message())
    for _ in range(OTHERS):
        await handle(delivery.message(), handler)


async def test_the_first_members_have_spans_of_their_own_and_the_others_one(taken: Taken) -> None:
    delivery = Delivery()
    await to_all_of(delivery)
    assert len(taken.named(HANDLER)) == DETAILED
    assert len(taken.named(SEND)) == DETAILED
    delivery.body = None
    [total] = taken.sums()
    said = dict(total.attributes or {})
    assert said[spans.MEMBERS] == OTHERS
    assert said[spans.FUNCTION] == f"{__name__}.Chat.chat_message"
    assert 0 <= float(str(said[spans.LONGEST_MS])) <= float(str(said[spans.TOTAL_MS]))
    assert float(str(said[spans.MAILBOX_MS])) >= 0
    [sent] = [one for one in taken.named(SEND) if spans.SOCKETS in (one.attributes or {})]
    assert sent.attributes == {
        "network.protocol.name": "websocket",
        "messaging.message.body.size": 9,
        spans.OPCODE: "text",
        spans.SOCKETS: OTHERS,
    }
    assert (sent.kind, sent.parent) == (SpanKind.PRODUCER, total.context)
    assert total.start_time <= sent.start_time <= sent.end_time  # type: ignore[operator]
    [deliver] = taken.named(DELIVER)
    assert above(taken.named(HANDLER)) == {deliver.context.span_id}
    assert len({span.context.trace_id for span in taken.spans}) == 1


async def test_as_many_as_have_spans_of_their_own_need_no_other(taken: Taken) -> None:
    delivery = Delivery()
    for _ in range(DETAILED):
        await handle(delivery.message())
    delivery.body = None
    assert len(taken.named(HANDLER)) == DETAILED
    assert not taken.sums()


@pytest.mark.parametrize("error", [KeyError, StopConsumer])
async def test_a_handler_that_fails_has_its_own_wherever_it_stands(error: type[Exception], taken: Taken) -> None:
    async def fail(message: spans.TracedMessage) -> None:
        await send(message)
        raise error("with a secret")

    delivery = Delivery()
    await to_all_of(delivery)
    failure: BaseException | None = None
    try:
        await handle(delivery.message(), fail)
    except error as raised:
        failure = raised  # as a task keeps it, with its frames
    delivery.body = None
    [total] = taken.sums()
    failed = [span for span in taken.named(HANDLER) if not span.status.is_ok]
    assert isinstance(failure, error)
    if error is StopConsumer:  # which is how a consumer ends
        assert not failed
        assert (total.attributes or {})[spans.MEMBERS] == OTHERS + 1
        return
    [own] = failed
    assert (own.attributes or {})["error.type"] == "KeyError"
    assert own.parent == taken.named(DELIVER)[0].context
    assert "secret" not in repr([span.to_json() for span in taken.spans])
    assert (total.attributes or {})[spans.MEMBERS] == OTHERS, "each is told once"


async def test_a_handler_that_is_slow_has_its_own(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "SLOW_SECONDS", 0.0)
    assert kept.SLOW_SECONDS == 1.0
    delivery = Delivery()
    await to_all_of(delivery)
    delivery.body = None
    [total] = taken.sums()
    assert (total.attributes or {})[spans.MEMBERS] == 0
    assert len(taken.named(HANDLER)) == DETAILED + OTHERS + 1
    assert all(span.start_time < span.end_time for span in taken.named(HANDLER)[DETAILED:])  # type: ignore[operator]


async def test_what_a_handler_does_continues_the_trace(taken: Taken) -> None:
    held: list[Any] = []

    async def work(message: spans.TracedMessage) -> None:
        held.append(message)  # a consumer may keep the event
        assert baggage.get_baggage("tenant") == "town"
        with layer_spans.publish("queue", "work", 1) or pytest.fail("not traced"):
            pass
        tracing = spans.WIRED.tracing
        assert tracing is not None
        with trace.use_span(tracing.tracer.start_span("its own"), end_on_exit=True):
            await send(message)

    otel_context.attach(baggage.set_baggage("tenant", "town"))
    delivery = Delivery()
    await to_all_of(delivery, work)
    assert not trace.get_current_span().get_span_context().is_valid
    delivery.body = None
    [total] = taken.sums()
    assert above(taken.named("publish work")) == {total.context.span_id}
    own = {span.context.span_id for span in taken.named("its own")}
    assert len(own) == OTHERS
    below = [span for span in taken.named(SEND) if above([span]) <= own]
    assert len(below) == OTHERS, "a span of the project's own keeps what is sent in it"
    assert all(type(message) is spans.TracedMessage and message.crowd is None for message in held)


async def test_what_is_sent_when_all_have_ended_is_told_alone(taken: Taken) -> None:
    late: list[Context] = []

    async def keep(message: spans.TracedMessage) -> None:
        late.append(otel_context.get_current())

    delivery = Delivery()
    await to_all_of(delivery, keep)
    delivery.body = None
    [total] = taken.sums()
    token = otel_context.attach(late[0])
    await send(spans.TracedMessage({}, trace.INVALID_SPAN, 0.0))
    otel_context.detach(token)
    assert taken.named(SEND)[-1].parent == total.context


async def test_what_members_never_take_does_not_hold_the_others_up(taken: Taken) -> None:
    delivery = Delivery()
    await to_all_of(delivery)
    waiting = delivery.message()
    delivery.body = None
    assert not taken.sums(), "somebody has it, and may handle it"
    had_handled_ns = time.time_ns()
    del waiting
    [total] = taken.sums()
    assert (total.attributes or {})[spans.MEMBERS] == OTHERS
    assert (total.end_time or 0) <= had_handled_ns


async def test_what_the_garbage_collector_finds_ends_with_the_next_delivery(taken: Taken) -> None:
    """It may run in a thread that holds the very lock which the end of a span takes."""
    gc.disable()
    try:
        delivery = Delivery()
        await to_all_of(delivery)
        kept: list[Any] = [delivery.message()]
        kept.append(kept)
        delivery.body = None
        del kept
        gc.collect()
        assert not taken.sums()
        await to_all_of(Delivery())
    finally:
        gc.enable()
    assert len(taken.sums()) >= 1


async def test_each_class_of_members_is_summed_up_by_itself(taken: Taken) -> None:
    delivery = Delivery()
    await to_all_of(delivery)
    await handle(delivery.message(), consumer=Other)
    delivery.body = None
    assert [dict(span.attributes or {})[spans.MEMBERS] for span in taken.sums()] == [OTHERS]
    assert [dict(span.attributes or {})[spans.MEMBERS] for span in taken.sums("Other.chat_message")] == [1]


async def test_without_a_tracer_it_is_handled_all_the_same(taken: Taken) -> None:
    delivery = Delivery()
    messages = [delivery.message() for _ in range(DETAILED + 1)]
    spans.wire(None)
    handled: list[float] = []

    async def note(message: spans.TracedMessage) -> None:
        handled.append(time.monotonic())

    for message in messages:
        with suppress(StopConsumer):
            await handle(message, note)
    assert len(handled) == DETAILED + 1
