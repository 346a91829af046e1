"""Spans of our own say on the wire what the SDK's exporters would say of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from realtime_gateway.telemetry import span_bytes
from realtime_gateway.telemetry.own_spans import OwnSpans
from realtime_gateway.telemetry.plain_span import PlainSpan
from realtime_gateway.telemetry.plain_tracer import PlainTracer

STATE = TraceState([("vendor", "1"), ("other", "é")])
REMOTE = SpanContext(5, 7, is_remote=True, trace_flags=TraceFlags(1), trace_state=STATE)


@pytest.fixture
def tracer() -> PlainTracer:
    made = OwnSpans(partial(TracerProvider, shutdown_on_exit=False)).tracer
    assert isinstance(made, PlainTracer)
    return made


def exporters(encode: Any = encode_spans) -> Any:
    """A module like those of the exporters, whose ``encode_spans`` may be replaced."""
    return SimpleNamespace(encode_spans=encode)


def span(
    tracer: PlainTracer, name: str = "websocket send", parent: SpanContext | None = None, **more: Any
) -> PlainSpan:
    context = Context() if parent is None else set_span_in_context(NonRecordingSpan(parent), Context())
    made = tracer.start_span(name, context, **more)
    assert isinstance(made, PlainSpan)
    return made


def many(tracer: PlainTracer) -> list[PlainSpan]:
    links = [Link(REMOTE), Link(SpanContext(1, 2, is_remote=False))]
    root = span(tracer, "websocket receive", kind=SpanKind.SERVER, links=links)
    root.add_event("taken by the application")
    words = ("", "x" * 300, True, False, ["websocket"], [1])
    values = (*words, 0, 1, 127, 128, 511, 512, 2**63 - 1, -1, 1.5, float("inf"))
    said = {f"a{number}": value for number, value in enumerate(values)}
    made = [
        root,
        span(tracer, "x" * 200, REMOTE, kind=SpanKind.CLIENT, attributes=said),
        span(tracer, "publish chat_{name}", root.get_span_context(), kind=SpanKind.PRODUCER, attributes={"a": True}),
        span(tracer, "deliver chat_{name}", root.get_span_context(), kind=SpanKind.CONSUMER, attributes={"a": 1}),
    ]
    made[-1].set_status(StatusCode.ERROR)
    for one in made:
        one.end()
    return made


def test_the_exporters_encode_them_as_the_sdk_would(tracer: PlainTracer) -> None:
    module = exporters()
    assert span_bytes.teach(module, tracer)
    spans = many(tracer)
    assert module.encode_spans is not encode_spans
    assert module.encode_spans(spans) == encode_spans([one.readable() for one in spans])


def test_those_of_others_go_with_them_as_they_are(tracer: PlainTracer) -> None:
    module = exporters()
    assert span_bytes.teach(module, tracer)
    others: list[Any] = [TracerProvider(shutdown_on_exit=False).get_tracer("own").start_span(name) for name in "ab"]
    for one in others:
        one.end()
    assert module.encode_spans(others) == encode_spans(others)
    [ours, *_] = many(tracer)
    found = module.encode_spans([others[0], ours, others[1]])
    scopes = {
        scope.scope.name: [one.name for one in scope.spans] for own in found.resource_spans for scope in own.scope_spans
    }
    assert scopes == {"realtime_gateway": ["websocket receive"], "own": ["a", "b"]}


def test_what_utf8_cannot_say_costs_no_other_span(tracer: PlainTracer) -> None:
    module = exporters()
    assert span_bytes.teach(module, tracer)
    bad, good = span(tracer, "bad", attributes={"a": "half \ud800"}), span(tracer, "good")
    found = module.encode_spans([bad, good]).resource_spans[0].scope_spans[0].spans
    assert [one.attributes[0].value.string_value for one in found[:1]] == ["half ?"]
    assert found[1].name == "good"


def something_else(spans: Sequence[ReadableSpan]) -> Any:
    found = encode_spans(spans)
    found.resource_spans[0].scope_spans[0].spans[0].dropped_links_count = 1
    return found


def fails(spans: Sequence[ReadableSpan]) -> Any:
    raise TypeError


@pytest.mark.parametrize("module", [exporters(something_else), exporters(fails), SimpleNamespace()])
def test_an_exporter_of_another_version_is_left_alone_and_gets_spans_of_the_sdk(
    module: Any, tracer: PlainTracer
) -> None:
    before = dict(vars(module))
    assert not span_bytes.teach(module, tracer)
    assert vars(module) == before

    class Exporter(SpanExporter):
        came: Sequence[ReadableSpan] = ()

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            self.came = spans
            return SpanExportResult.SUCCESS

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return True

    exporter = Exporter()
    reading = span_bytes.ReadableOnly(exporter)
    spans = many(tracer)
    assert reading.export([spans[0], spans[1].readable()]) is SpanExportResult.SUCCESS  # type: ignore[list-item]
    assert [type(one) for one in exporter.came] == [ReadableSpan] * 2
    assert exporter.came[0].context == spans[0].get_span_context()
    assert reading.force_flush()
    reading.shutdown()


def test_what_an_application_says_at_length_is_not_kept(tracer: PlainTracer) -> None:
    text = "x" * 65_536
    before = span_bytes._short_word.cache_info().currsize
    for number in range(3):
        said = span(tracer)
        said.set_attribute("chat.text", f"{number}{text}")
        said.end()
        assert text.encode() in span_bytes._span(said)
    assert span_bytes._short_word.cache_info().currsize == before
